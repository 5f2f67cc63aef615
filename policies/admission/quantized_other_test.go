//go:build !amd64

package admission

func (q *Quantized) implementations() []func() int32 { return []func() int32{q.sum} }

func (q *Digits) implementations() []func() int32 { return []func() int32{q.sum} }
