package artifacts

func (b Builtin) Resolve(p map[string]any) (map[string]any, error) { return b.resolve(p) }
