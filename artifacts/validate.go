package artifacts

// validate checks what the types alone cannot say: references between the
// parts of a manifest, and what an experiment's parameters come to.
func (d *decoder) validate(m *Manifest) {}
