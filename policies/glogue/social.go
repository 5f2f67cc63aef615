package glogue

import (
	"math"
	"math/rand/v2"
)

// Social is a made social network in the labels of the LDBC benchmark: people
// who know others of their city and the friends of friends, degrees by a power
// law; posts and comments with creators, likes and tags; tags and cities by a
// Zipf law. It has the skew and the dependence between edges that estimators
// err on, and is no likeness of any real network.
func Social(persons int, seed uint64) *Graph {
	s := NewSchema([][3]string{
		{"person", "knows", "person"}, {"person", "isLocatedIn", "city"}, {"person", "hasInterest", "tag"},
		{"post", "hasCreator", "person"}, {"post", "hasTag", "tag"}, {"person", "likes", "post"},
		{"comment", "hasCreator", "person"}, {"comment", "replyOf", "post"},
	})
	rng := rand.New(rand.NewPCG(seed, 0x736f6369616c))
	b := &Builder{Schema: s}
	add := func(name string, n int) uint32 {
		l, err := s.VertexLabel(name)
		if err != nil {
			panic(err) // the schema is above
		}
		first := uint32(len(b.labels))
		for range n {
			b.Vertex(l)
		}
		return first
	}
	link := func(from uint32, label EdgeLabel, to uint32) {
		if from != to {
			if err := b.Edge(from, label, to); err != nil {
				panic(err) // both ends were added
			}
		}
	}
	const knows, located, interest, creator, tagged, likes, reply = 0, 1, 2, 3, 4, 5, 6
	cities, tags := max(4, persons/40), max(8, persons/8)
	person, city, tag := add("person", persons), add("city", cities), add("tag", tags)
	zipf := func(n int) uint32 { return uint32(math.Pow(float64(n), rng.Float64())) - 1 }
	home := make([]uint32, persons)
	local := make([][]uint32, cities)
	friends := make([][]uint32, persons)
	for p := range uint32(persons) {
		home[p] = zipf(cities)
		local[home[p]] = append(local[home[p]], p)
		link(person+p, located, city+home[p])
		for range 1 + rng.IntN(6) {
			link(person+p, interest, tag+zipf(tags))
		}
	}
	for p := range uint32(persons) {
		degree := int(2 * math.Pow(rng.Float64(), -0.6))
		for range min(degree, persons/4) {
			q := uint32(rng.IntN(persons))
			switch u := rng.Float64(); {
			case u < 0.4 && len(friends[p]) > 0: // a friend of a friend
				f := friends[p][rng.IntN(len(friends[p]))]
				if len(friends[f]) > 0 {
					q = friends[f][rng.IntN(len(friends[f]))]
				}
			case u < 0.8: // someone of the same city
				q = local[home[p]][rng.IntN(len(local[home[p]]))]
			}
			if p != q {
				link(person+p, knows, person+q)
				friends[p], friends[q] = append(friends[p], q), append(friends[q], p)
			}
		}
	}
	posts := 3 * persons
	post := add("post", posts)
	author := make([]uint32, posts)
	for i := range uint32(posts) {
		author[i] = zipf(persons)
		link(post+i, creator, person+author[i])
		for range 1 + rng.IntN(3) {
			link(post+i, tagged, tag+zipf(tags))
		}
		for _, f := range friends[author[i]] {
			if rng.Float64() < 0.3 {
				link(person+f, likes, post+i)
			}
		}
	}
	comments := 2 * persons
	comment := add("comment", comments)
	for i := range uint32(comments) {
		to := uint32(rng.IntN(posts))
		who := uint32(rng.IntN(persons))
		if f := friends[author[to]]; len(f) > 0 && rng.Float64() < 0.7 {
			who = f[rng.IntN(len(f))]
		}
		link(comment+i, creator, person+who)
		link(comment+i, reply, post+to)
	}
	g, err := b.Graph()
	if err != nil {
		panic(err) // made from the schema above
	}
	return g
}

// Query is a pattern with a name.
type Query struct {
	Name    string
	Pattern Pattern
}

// Queries are patterns of a social network in the labels of [Social] and of the
// LDBC benchmark, of 3 to 6 vertices, with cycles and without.
func Queries(s *Schema) ([]Query, error) {
	var all []Query
	for _, q := range []struct {
		name     string
		vertices []string
		edges    [][3]any
	}{
		{"triangle", []string{"person", "person", "person"}, [][3]any{{0, "knows", 1}, {1, "knows", 2}, {0, "knows", 2}}},
		{"friends-of-a-city", []string{"person", "person", "city"}, [][3]any{{0, "knows", 1}, {0, "isLocatedIn", 2}, {1, "isLocatedIn", 2}}},
		{"liked-by-a-friend", []string{"person", "person", "post"}, [][3]any{{0, "knows", 1}, {0, "likes", 2}, {2, "hasCreator", 1}}},
		{"shared-interest", []string{"person", "person", "tag", "post"}, [][3]any{{0, "knows", 1}, {0, "hasInterest", 2}, {3, "hasTag", 2}, {3, "hasCreator", 1}}},
		{"square", []string{"person", "person", "person", "person"}, [][3]any{{0, "knows", 1}, {1, "knows", 2}, {2, "knows", 3}, {0, "knows", 3}}},
		{"clique", []string{"person", "person", "person", "person"}, [][3]any{{0, "knows", 1}, {0, "knows", 2}, {1, "knows", 2}, {0, "knows", 3}, {1, "knows", 3}, {2, "knows", 3}}},
		{"path", []string{"tag", "person", "person", "person", "city"}, [][3]any{{1, "hasInterest", 0}, {1, "knows", 2}, {2, "knows", 3}, {3, "isLocatedIn", 4}}},
		{"reply-among-friends", []string{"comment", "post", "person", "person"}, [][3]any{{0, "replyOf", 1}, {0, "hasCreator", 2}, {1, "hasCreator", 3}, {2, "knows", 3}}},
		{"liked-and-replied", []string{"comment", "post", "person", "person", "city"}, [][3]any{{0, "replyOf", 1}, {0, "hasCreator", 2}, {2, "likes", 1}, {1, "hasCreator", 3}, {2, "isLocatedIn", 4}, {3, "isLocatedIn", 4}}},
		{"bow-tie", []string{"person", "person", "person", "person", "person"}, [][3]any{{0, "knows", 1}, {1, "knows", 2}, {0, "knows", 2}, {2, "knows", 3}, {3, "knows", 4}, {2, "knows", 4}}},
		{"two-posts-one-tag", []string{"person", "post", "tag", "post", "person", "city"}, [][3]any{{0, "likes", 1}, {1, "hasTag", 2}, {3, "hasTag", 2}, {3, "hasCreator", 4}, {0, "isLocatedIn", 5}, {4, "isLocatedIn", 5}}},
	} {
		p, err := s.PatternOf(q.vertices, q.edges)
		if err != nil {
			return nil, err
		}
		all = append(all, Query{q.name, p})
	}
	return all, nil
}
