package admission

// implementations are those that this processor has.
func (q *Quantized) implementations() []func() int32 {
	list := []func() int32{q.sum}
	if hasAVX2 {
		list = append(list, q.sumAVX2)
	}
	if hasVNNI {
		list = append(list, q.sumVNNI)
	}
	return list
}

func (q *Digits) implementations() []func() int32 {
	list := []func() int32{q.sum}
	if hasAVX2 {
		list = append(list, q.sumAVX2)
	}
	if hasVNNI {
		list = append(list, q.sumVNNI)
	}
	return list
}
