package glogue

// Modern is TinkerPop's toy graph: four people, two programs, who knows whom
// and who created what.
func Modern() *Graph {
	s := NewSchema([][3]string{{"person", "knows", "person"}, {"person", "created", "software"}})
	b := &Builder{Schema: s}
	marko, vadas, josh, peter := b.Vertex(0), b.Vertex(0), b.Vertex(0), b.Vertex(0)
	lop, ripple := b.Vertex(1), b.Vertex(1)
	const knows, created = 0, 1
	for _, e := range []struct {
		from  uint32
		label EdgeLabel
		to    uint32
	}{{marko, knows, vadas}, {marko, knows, josh}, {marko, created, lop}, {josh, created, lop}, {josh, created, ripple}, {peter, created, lop}} {
		if err := b.Edge(e.from, e.label, e.to); err != nil {
			panic(err) // all ends are above
		}
	}
	g, err := b.Graph()
	if err != nil {
		panic(err) // made from the schema above
	}
	return g
}

// LDBCSchema has 13 vertex labels and 21 edge types of the LDBC social network
// benchmark, as many as the schema whose patterns the published test counts.
// Which of the benchmark's edge types that one left out is not known; the size
// of a catalogue of single edges depends on the numbers alone.
func LDBCSchema() *Schema {
	return NewSchema([][3]string{
		{"person", "knows", "person"}, {"comment", "hasCreator", "person"}, {"post", "hasCreator", "person"},
		{"forum", "hasTag", "tag"}, {"post", "hasTag", "tag"}, {"comment", "hasTag", "tag"},
		{"comment", "replyOf", "comment"}, {"comment", "replyOf", "post"}, {"forum", "containerOf", "post"},
		{"forum", "hasMember", "person"}, {"forum", "hasModerator", "person"}, {"person", "hasInterest", "tag"},
		{"person", "isLocatedIn", "city"}, {"person", "likes", "comment"}, {"person", "likes", "post"},
		{"person", "studyAt", "university"}, {"person", "workAt", "company"}, {"city", "isPartOf", "country"},
		{"country", "isPartOf", "continent"}, {"tag", "hasType", "tagclass"}, {"tagclass", "isSubclassOf", "tagclass"},
	}, "place", "organisation")
}

// PublishedCatalogue is a catalogue whose size the published code's tests
// assert (tests/test_catalog.rs of GraphScope's ir_core).
type PublishedCatalogue struct {
	Name                 string
	Patterns, Approaches int // as asserted
	Catalogue            *Catalogue
}

// PublishedCatalogues builds all of them.
func PublishedCatalogues() []PublishedCatalogue {
	modern, ldbc := Modern().Schema, LDBCSchema()
	list := []PublishedCatalogue{
		{"modern-schema", 4, 4, FromSchema(modern, 2, 3)},
		{"ldbc-schema", 34, 42, FromSchema(ldbc, 2, 3)},
	}
	for _, c := range []struct {
		name                 string
		patterns, approaches int
		schema               *Schema
		vertices             []string
		edges                [][3]any
	}{
		{"person", 1, 0, modern, []string{"person"}, nil},
		{"software", 1, 0, modern, []string{"software"}, nil},
		{"knows", 2, 2, modern, []string{"person", "person"}, [][3]any{{0, "knows", 1}}},
		{"created", 3, 2, modern, []string{"person", "software"}, [][3]any{{0, "created", 1}}},
		{"triangle", 6, 9, ldbc, []string{"person", "person", "person"}, [][3]any{{0, "knows", 1}, {0, "knows", 2}, {1, "knows", 2}}},
		{"university", 8, 12, ldbc, []string{"university", "person", "person"}, [][3]any{{1, "studyAt", 0}, {2, "studyAt", 0}, {1, "knows", 2}}},
		{"clique", 19, 28, ldbc, []string{"person", "person", "person", "person"}, [][3]any{{0, "knows", 1}, {0, "knows", 2}, {1, "knows", 2}, {0, "knows", 3}, {1, "knows", 3}, {2, "knows", 3}}},
		{"square", 15, 25, ldbc, []string{"person", "person", "city", "comment"}, [][3]any{{0, "isLocatedIn", 2}, {1, "isLocatedIn", 2}, {0, "likes", 3}, {3, "hasCreator", 1}}},
	} {
		p, err := c.schema.PatternOf(c.vertices, c.edges)
		if err != nil {
			panic(err) // all labels are the schema's
		}
		list = append(list, PublishedCatalogue{c.name, c.patterns, c.approaches, FromPattern(c.schema, p, ExtendOnly)})
	}
	return list
}
