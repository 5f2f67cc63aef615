package cache

var lfuSpec = Spec{
	Name:   "lfu",
	Doc:    "least frequently used since it came in; among equals, the one that reached that count first",
	Source: "in constant time: Matani, Shah & Mitra 2010",
	new: func(c Config) Policy {
		return &lfu{classes{store: newStore(c.Capacity, 0)}}
	},
}

// classes are lists of the objects that were used equally often. The root of
// such a list is a node taken from the store, whose id is the count, whose size
// the root of the class with the next higher count.
//
// It takes 4 bytes an object beyond the store.
type classes struct {
	store
	class  []Handle // by handle: the root of its class
	lowest Handle
}

// enter puts an object that has just come in among those used once.
func (c *classes) enter(h Handle) {
	if c.lowest == None || c.nodes[c.lowest].id != 1 {
		c.lowest = c.newClass(1, c.lowest)
	}
	c.join(c.lowest, h)
}

// used counts one use of h.
func (c *classes) used(h Handle) {
	root := c.class[h]
	count, above := c.nodes[root].id, Handle(c.nodes[root].size)
	if above == None || c.nodes[above].id != count+1 {
		above = c.newClass(count+1, above)
		c.nodes[root].size = uint32(above)
	}
	c.unlink(h)
	c.join(above, h)
}

// first is the object used least often, or None. Classes left empty are
// dropped here, when they come to be the lowest.
func (c *classes) first() Handle {
	for c.lowest != None {
		root := c.lowest
		if h := c.oldest(root); h != root {
			return h
		}
		c.lowest = Handle(c.nodes[root].size)
		c.nodes[root].next = c.free
		c.free = root
	}
	return None
}

func (c *classes) newClass(count uint64, above Handle) Handle {
	root := c.free
	if root != None {
		c.free = c.nodes[root].next
	} else {
		root = c.newNode()
	}
	c.nodes[root] = node{id: count, prev: root, next: root, size: uint32(above)}
	return root
}

func (c *classes) join(root, h Handle) {
	c.pushHead(root, h)
	for int(h) >= len(c.class) {
		c.class = append(c.class, make([]Handle, cap(c.nodes)-len(c.class))...)
	}
	c.class[h] = root
}

type lfu struct{ classes }

func (p *lfu) Find(k Key) Handle {
	h := p.lookup(k)
	if h != None {
		p.used(h)
	}
	return h
}

func (p *lfu) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.first()
		p.unlink(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h)
	return h
}

func (p *lfu) Remove(h Handle) {
	p.unlink(h)
	p.forget(h)
}

// Demote makes h the oldest of those used once.
func (p *lfu) Demote(h Handle) {
	p.unlink(h)
	p.enter(h)
	p.unlink(h)
	p.pushTail(p.class[h], h)
}
