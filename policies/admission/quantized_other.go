//go:build !amd64

package admission

func (q *Quantized) sum() int32 { return q.sumGo() }
