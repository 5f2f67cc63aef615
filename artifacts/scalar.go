package artifacts

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	coreInf   = regexp.MustCompile(`^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
)

// parseScalar gives an unquoted text its type by YAML's core schema: nil, bool,
// int, float64, or the text itself. 1% and 50k stay texts.
func parseScalar(text string) any {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	if coreInt.MatchString(text) {
		digits, base := text, 10
		if strings.HasPrefix(text, "0o") {
			digits, base = text[2:], 8
		} else if strings.HasPrefix(text, "0x") {
			digits, base = text[2:], 16
		}
		if n, err := strconv.ParseInt(digits, base, 0); err == nil {
			return int(n)
		}
	}
	if coreFloat.MatchString(text) {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	if coreInf.MatchString(text) {
		switch text[0] {
		case '-':
			return math.Inf(-1)
		case '+':
			return math.Inf(1)
		}
		if strings.EqualFold(text, ".nan") {
			return math.NaN()
		}
		return math.Inf(1)
	}
	return text
}

// FormatValue spells a parameter's value as labels, shell scripts and messages
// have it.
func FormatValue(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return formatList(v)
	case []string:
		return formatList(v)
	case []int:
		return formatList(v)
	case []float64:
		return formatList(v)
	case []bool:
		return formatList(v)
	}
	return fmt.Sprint(v)
}

func formatList[T any](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = FormatValue(v)
	}
	return strings.Join(texts, ",")
}

var quantityForm = regexp.MustCompile(`^([-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?) ?(%|k|K|M|G|T|Ki|Mi|Gi|Ti)?B?$`)

var multipliers = map[string]float64{
	"": 1, "%": 0.01, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// quantity reads a value as a number: 3, 1.5, 1% (0.01), 50k (50,000), 1MiB.
func quantity(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case string:
		m := quantityForm.FindStringSubmatch(v)
		if m == nil {
			return 0, false
		}
		f, err := strconv.ParseFloat(m[1], 64)
		if err != nil || math.IsInf(f*multipliers[m[2]], 0) {
			return 0, false
		}
		if m[2] == "%" {
			return f / 100, true
		}
		return f * multipliers[m[2]], true
	}
	return 0, false
}

// sameValue compares quantities as numbers (1% is 0.01) and the rest as texts.
func sameValue(a, b any) bool {
	x, ok1 := quantity(a)
	y, ok2 := quantity(b)
	if ok1 && ok2 {
		return x == y
	}
	return FormatValue(a) == FormatValue(b)
}
