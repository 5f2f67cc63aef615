package cache

var lfuSpec = Spec{
	Name:   "lfu",
	Doc:    "least frequently used since it came in; among equals, the one that reached that count first",
	Source: "in constant time: Matani, Shah & Mitra 2010",
	new: func(c Config) Policy {
		p := &lfu{classes{store: newStore(c.Capacity, 0)}}
		p.expectClasses(c.Capacity)
		return p
	},
}

// classes are lists of the objects that were used equally often, none of them
// empty. The root of such a list is a node taken from the store: half of its id
// is the count, the other half the root of the class with the next higher count,
// and its own class the one with the next lower.
//
// It takes 4 bytes an object beyond the store, and 24 a class.
type classes struct {
	store
	class  []Handle // by handle: the root of its class
	lowest Handle
}

// expectClasses has room for a class to 64 objects, and for so many objects.
func (c *classes) expectClasses(known int64) { c.expect(c.capacity+c.capacity/64, known) }

// enter puts an object that has just come in among those used once.
func (c *classes) enter(h Handle) {
	if c.lowest == None || c.nodes[c.lowest].idLow != 1 {
		c.newClass(1, None, c.lowest)
	}
	c.join(c.lowest, h)
}

// used counts one use of h.
func (c *classes) used(h Handle) {
	root := c.class[h]
	count, above := c.nodes[root].idLow, Handle(c.nodes[root].idHigh)
	if above == None || c.nodes[above].idLow != count+1 {
		if n := &c.nodes[root]; n.next == h && n.prev == h {
			n.idLow++ // its class goes with it
			return
		}
		above = c.newClass(count+1, root, above)
	}
	c.part(h)
	c.join(above, h)
}

// first is the object used least often, or None.
func (c *classes) first() Handle {
	if c.lowest == None {
		return None
	}
	return c.oldest(c.lowest)
}

func (c *classes) newClass(count uint32, below, above Handle) Handle {
	root := c.free
	if root != None {
		c.free = c.nodes[root].next
	} else {
		root = c.newNode()
	}
	c.nodes[root] = node{idLow: count, idHigh: uint32(above), prev: root, next: root}
	c.bind(root, below)
	if below == None {
		c.lowest = root
	} else {
		c.nodes[below].idHigh = uint32(root)
	}
	if above != None {
		c.class[above] = root
	}
	return root
}

// bind sets the class of an object, or the class below of a class.
func (c *classes) bind(h, root Handle) {
	for int(h) >= len(c.class) {
		c.class = widened(c.class, cap(c.nodes))
	}
	c.class[h] = root
}

func (c *classes) join(root, h Handle) {
	c.pushHead(root, h)
	c.bind(h, root)
}

// part takes an object out of its class, and drops that if nothing is left.
func (c *classes) part(h Handle) {
	c.unlink(h)
	root := c.class[h]
	if c.nodes[root].next != root {
		return
	}
	below, above := c.class[root], Handle(c.nodes[root].idHigh)
	if below == None {
		c.lowest = above
	} else {
		c.nodes[below].idHigh = uint32(above)
	}
	if above != None {
		c.class[above] = below
	}
	c.release(root)
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
		p.part(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h)
	return h
}

func (p *lfu) Remove(h Handle) {
	p.part(h)
	p.forget(h)
}

// Demote makes h the oldest of those used once.
func (p *lfu) Demote(h Handle) {
	p.part(h)
	p.enter(h)
	p.unlink(h)
	p.pushTail(p.class[h], h)
}
