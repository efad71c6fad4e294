//go:build linux

package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// tenantCases are about tenants' credentials, files and shares.
func tenantCases() []hostileCase {
	return []hostileCase{
		{
			name: "revoked", what: "A tenant's credential is revoked at the neighbours' gateway, and replaced later.", short: true,
			setting: setting{patience: 20 * time.Second}, alone: true,
			run: func(a *attack) {
				refused := a.revoke()
				a.flood(scaled(300), func(i int) { a.send(a.jobHere(i), succeeds) })
				a.settled()
				a.pause(during(15 * time.Second))
				if n := refused.Load(); n > 40 {
					a.fails("the gateway was asked %d times with a credential that is revoked", n)
				}
				a.replace(a.tenantHere+".credential", "renewed")
			},
		},
		{
			name: "paused-tenant", what: "A tenant whose credential is revoked has 5,000 jobs; a pod has room for 1,024 that wait.",
			setting: setting{concurrency: 64, patience: 90 * time.Second}, alone: true,
			run: func(a *attack) {
				a.revoke()
				a.flood(max(1500, scaled(5000)), func(i int) { a.send(a.jobHere(i), succeeds) })
				a.settled()
				a.pause(during(20 * time.Second))
				a.replace(a.tenantHere+".credential", "renewed")
			},
		},
		{
			name: "fills-the-slots", what: "A tenant's gateway hangs, and the tenant has 6,000 jobs; a pod has 64 slots, and room for 1,024 jobs that wait.", alone: true,
			setting: setting{concurrency: 64, patience: 90 * time.Second},
			run: func(a *attack) {
				defer a.answersAt(a.there, true, hangs)()
				for i := range max(192, scaled(6000)) {
					j := a.job(a.account(i))
					j.Tenant = a.tenant
					a.send(j, endsAs(job.Unknown, job.Succeeded)) // those that find no slot before it works again
				}
				a.settled()
				a.pause(4 * a.lease())
			},
		},
		{
			name: "garbage-tenants-file", what: "The tenants file is garbage for a while.", alone: true,
			run: func(a *attack) {
				a.keepOn(during(10*time.Second), 500*time.Millisecond, func(i int) {
					a.replace("tenants.yaml", garbageFiles[i%len(garbageFiles)])
					a.send(a.jobHere(i), succeeds)
				})
				a.writeTenants()
				for i := range 20 {
					a.send(a.jobHere(1000+i), succeeds)
				}
			},
		},
		{
			name: "restless-credential", what: "A tenant's credential changes ten times a second.",
			run: func(a *attack) {
				a.keepOn(during(15*time.Second), 100*time.Millisecond, func(i int) {
					a.replace(a.tenantHere+".credential", fmt.Sprint("version ", i))
					a.send(a.jobHere(i), succeeds)
				})
			},
		},
	}
}

var garbageFiles = []string{
	"", "\x00\x01\x02", "{{{{", "- a\n- b\n", "tenant: {url: ftp://nowhere}", "a: &a [*a]", strings.Repeat("x: {}\n", 2), "tenant: {authorizationFile: /nonexistent}",
	strings.Repeat("[", 10_000),
}

// jobHere returns a job of the attack's tenant at the neighbours' gateway.
func (a *attack) jobHere(i int) *job.Job {
	job := a.job(a.account(i))
	job.Tenant = a.tenantHere
	return job
}

// revoke has the neighbours' gateway refuse the first credential of the attack's tenant
// there, and returns how often it did.
func (a *attack) revoke() (refused *atomic.Int64) {
	refused = new(atomic.Int64)
	a.here.with(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Header.Get("Authorization") != "of "+a.tenantHere {
			return false
		}
		refused.Add(1)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return true
	})
	return refused
}
