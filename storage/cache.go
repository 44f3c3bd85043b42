package storage

// objectBytes is what an object in memory costs beside its key and state.
const objectBytes = 256

// cache bounds the memory of objects: those used least recently are forgotten
// between turns, when everything is on disk. Missing keys are remembered as
// well, so that a consumer who polls an empty queue costs no read.
type cache struct {
	root     Object // list of objects, most recently used first
	bytes    int
	bytesMax int
	count    int
}

func newCache(bytesMax int) *cache {
	c := &cache{bytesMax: bytesMax}
	c.root.prev, c.root.next = &c.root, &c.root
	return c
}

func (c *cache) add(o *Object) {
	o.size = objectBytes + len(o.Key) + len(o.Meta)
	c.bytes += o.size
	c.count++
	c.link(o)
}

func (c *cache) link(o *Object) {
	o.prev, o.next = &c.root, c.root.next
	o.prev.next, o.next.prev = o, o
}

func (c *cache) unlink(o *Object) {
	o.prev.next, o.next.prev = o.next, o.prev
	o.prev, o.next = nil, nil
}

func (c *cache) front(o *Object) {
	if o.next == nil || c.root.next == o {
		return
	}
	c.unlink(o)
	c.link(o)
}

// resize counts anew what o holds.
func (c *cache) resize(o *Object) {
	if o.next == nil {
		return // no longer in the cache
	}
	size := objectBytes + len(o.Key) + len(o.Meta)
	if o.State != nil {
		size += o.State.MemoryBytes()
	}
	c.bytes += size - o.size
	o.size = size
}

func (c *cache) remove(o *Object) {
	if o.next == nil {
		return
	}
	c.unlink(o)
	c.bytes -= o.size
	c.count--
}

// evict forgets objects until the cache has at most bytesMax; a negative number
// means all. It must run between turns. Objects with unwritten soft changes
// stay, and those that are guarded.
func (c *cache) evict(bytesMax int) {
	for o := c.root.prev; c.bytes > bytesMax && o != &c.root; {
		older := o.prev
		if !o.soft && o.guards == 0 {
			c.remove(o)
			delete(o.space.objects, o.Key)
		}
		o = older
	}
}
