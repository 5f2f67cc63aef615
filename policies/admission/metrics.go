package admission

import (
	"math"
	"slices"
)

// Metrics says how good decisions are. Slow is the positive class. What the
// published code calls ROC-AUC and PR-AUC it computes of the decisions, not of
// the scores: the former is then the balanced accuracy. Both are here, under
// their own names.
type Metrics struct {
	Samples              int     `json:"samples"`
	TP, FP, TN, FN       int     `json:"-"`
	Accuracy             float64 `json:"accuracy"`
	BalancedAccuracy     float64 `json:"balanced_accuracy"` // the published "ROC-AUC"
	HardAveragePrecision float64 `json:"hard_pr_auc"`       // the published "PR-AUC"
	ROCAUC               float64 `json:"roc_auc"`           // of the scores
	AveragePrecision     float64 `json:"pr_auc"`            // of the scores
	F1                   float64 `json:"f1"`
	FalsePositive        float64 `json:"fpr"`
	FalseNegative        float64 `json:"fnr"`
	SlowShare            float64 `json:"slow_share"`
}

// Measure judges scores, of which those above 0 decide slow. A rate over no
// samples is 0.
func Measure(scores []float32, slow []bool) Metrics {
	m := Metrics{Samples: len(slow)}
	for i, s := range slow {
		switch {
		case s && scores[i] > 0:
			m.TP++
		case s:
			m.FN++
		case scores[i] > 0:
			m.FP++
		default:
			m.TN++
		}
	}
	p, n := float64(m.TP+m.FN), float64(m.TN+m.FP)
	tpr, tnr := ratio(float64(m.TP), p), ratio(float64(m.TN), n)
	m.Accuracy = ratio(float64(m.TP+m.TN), p+n)
	m.BalancedAccuracy = (tpr + tnr) / 2
	m.FalsePositive, m.FalseNegative = ratio(float64(m.FP), n), ratio(float64(m.FN), p)
	precision := ratio(float64(m.TP), float64(m.TP+m.FP))
	m.F1 = ratio(2*precision*tpr, precision+tpr)
	m.SlowShare = ratio(p, p+n)
	// Average precision of two thresholds: the decisions, and all of them slow.
	m.HardAveragePrecision = tpr*precision + (1-tpr)*m.SlowShare
	m.ROCAUC, m.AveragePrecision = curves(scores, slow, p, n)
	return m
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// curves gives the areas under the ROC curve (ties count half) and the average
// precision (a step per distinct score).
func curves(scores []float32, slow []bool, p, n float64) (roc, ap float64) {
	if p == 0 || n == 0 {
		return 0, 0
	}
	order := make([]int32, len(scores))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		switch x, y := scores[a], scores[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	tp, fp := 0.0, 0.0
	for i := 0; i < len(order); {
		tp0, fp0 := tp, fp
		for first := i; i < len(order) && (i == first || scores[order[i]] == scores[order[first]]); i++ {
			if slow[order[i]] {
				tp++
			} else {
				fp++
			}
		}
		roc += (fp - fp0) * (tp + tp0) / 2
		ap += (tp - tp0) / p * tp / (tp + fp)
	}
	return roc / (p * n), ap
}

// Mean averages metrics; those of no samples are left out.
func Mean(all []Metrics) (m Metrics) {
	n := 0.0
	for _, a := range all {
		if a.Samples == 0 {
			continue
		}
		n++
		m.Samples += a.Samples
		m.TP, m.FP, m.TN, m.FN = m.TP+a.TP, m.FP+a.FP, m.TN+a.TN, m.FN+a.FN
		m.Accuracy += a.Accuracy
		m.BalancedAccuracy += a.BalancedAccuracy
		m.HardAveragePrecision += a.HardAveragePrecision
		m.ROCAUC += a.ROCAUC
		m.AveragePrecision += a.AveragePrecision
		m.F1 += a.F1
		m.FalsePositive += a.FalsePositive
		m.FalseNegative += a.FalseNegative
		m.SlowShare += a.SlowShare
	}
	n = math.Max(n, 1)
	for _, v := range []*float64{&m.Accuracy, &m.BalancedAccuracy, &m.HardAveragePrecision, &m.ROCAUC, &m.AveragePrecision, &m.F1, &m.FalsePositive, &m.FalseNegative, &m.SlowShare} {
		*v /= n
	}
	return m
}
