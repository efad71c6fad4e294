// Package gateway calls the gateway that makes phones ask for confirmation: it
// implements [worker.Gateway] on HTTP.
//
// # The one rule
//
// A call that may have reached the gateway is never repeated, and never reported as
// not made. Package postonce counts the bytes that a request put on the wire: only when
// that is certainly none does [Client.SecondLogin] return [worker.ErrNotStarted].
// Everything that leaves a doubt is [ErrAmbiguous]:
//
//	nothing was written: refused, DNS, TLS, dial time-out, cancelled   worker.ErrNotStarted
//	HTTP 429, 503                                                      worker.ErrNotStarted
//	HTTP 401, 403                                                      worker.ErrRefused
//	a tenant that is not configured                                    worker.ErrUnknownTenant
//	beforeSend said no                                                   its error
//	all else: reset, time-out, other statuses, an unreadable reply     ErrAmbiguous
//
// Redirects are not followed, replies are not decompressed, only HTTP/1.1 is spoken. A
// reply that is likely to come from something else than a gateway (HTTP 404, 405 or 410, a
// redirect, a web page) is ErrAmbiguous too; its text asks whether the address is right,
// and the log does once for each address.
//
// # Bounds
//
// What gateways send is bounded where it is read, so that thousands of hostile replies at
// once take little memory and none waits for another:
//
//	the head of a reply, with informational ones before it   16 KiB
//	a reply                                                  4 MiB, 64 KiB of which are kept
//	a text of a login                                        8 KiB at the most, or it is left out
//	an online list                                           64 MiB, 16 MiB of which are kept
//
// Only its context ends a call whose reply comes slowly, since people are slow.
//
// # Connections
//
// Package postonce says how connections are made, looked after and ended. The proxies of
// HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured. That a proxy refuses the way to an
// https address is worker.ErrNotStarted, but the reply of a proxy to an http address can't
// be told from the gateway's.
//
// # Tenants
//
// A tenant has an address and a credential. The tenant "default" comes from
// [Options]; the tenants file is a YAML map that adds others, or replaces it. Without a
// url a tenant has Options.URL, and without a credential none is sent; the path of an
// authorizationFile is relative to the tenants file.
//
// [Client.Run] watches these files. A new version counts for calls made after it was
// read; one that has a mistake changes nothing and is logged.
//
// No credential, and no token or data of a login, is in any error, log record or
// formatted value of this package.
package gateway
