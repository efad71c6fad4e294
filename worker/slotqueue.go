package worker

import (
	"cmp"
	"container/list"
	"time"
)

// slotQueue holds those who wait for a slot in a lane: jobs, or requests for jobs.
type slotQueue struct {
	lane    Lane
	jobs    bool // those who wait are jobs
	tenants map[string]*slotTenant
	waiting slotHeap
	served  uint64 // the number of the last grant to this queue

	most   *slotTenant // the tenant with most confirmations open
	others peak        // how many the others had open
}

// slotTenant is a tenant in a lane. Requests for jobs are no tenant's: theirs has nothing
// open.
type slotTenant struct {
	name    string
	open    int // how many confirmations it has open
	waiting list.List
	place   int    // in the queue's heap, while some wait
	served  uint64 // the number of the last grant to it
}

// slotWait is one that waits for so many slots, and is told how many it got.
type slotWait struct {
	want    int
	granted chan int // buffered: the grant never waits for the taker
}

func (q *slotQueue) tenant(name string) *slotTenant {
	t := q.tenants[name]
	if t == nil {
		t = &slotTenant{name: name}
		q.tenants[name] = t
	}
	return t
}

// forget drops a tenant that has nothing here any more.
func (q *slotQueue) forget(t *slotTenant) {
	if t.open > 0 || t.waiting.Len() > 0 {
		return
	}
	delete(q.tenants, t.name)
	if q.most == t {
		q.most = nil
	}
}

// peak is the highest of the numbers noted lately.
type peak struct {
	since        time.Time
	now, earlier int // the highest since then, and in as long a time before
}

func (p *peak) note(n int) {
	p.turn()
	p.now = max(p.now, n)
}

func (p *peak) lately() int {
	p.turn()
	return max(p.now, p.earlier)
}

func (p *peak) turn() {
	switch past := time.Since(p.since); {
	case past > 2*lately:
		p.since, p.now, p.earlier = time.Now(), 0, 0
	case past > lately:
		p.since, p.now, p.earlier = time.Now(), 0, p.now
	}
}

// slotHeap orders the tenants of whom some wait: whose share is used least comes first.
type slotHeap []*slotTenant

func (h slotHeap) Len() int { return len(h) }

func (h slotHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].open, h[j].open), cmp.Compare(h[i].served, h[j].served)) < 0
}

func (h slotHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *slotHeap) Push(t any) {
	t.(*slotTenant).place = len(*h)
	*h = append(*h, t.(*slotTenant))
}

// Pop is for package heap.
func (h *slotHeap) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
