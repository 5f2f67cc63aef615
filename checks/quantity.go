package checks

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Quantity is a number with a unit, written as 62%, 5pp, 178.7us, 1.5x, 12MiB
// or 2.4 M/s. Units of one dimension convert into each other: times (ns us ms s
// min h), sizes (B kB MB … KiB MiB …), plain numbers (none, 1, x, %, pp, and k M
// G T) and rates of these (MiB/s, M/s, IOPS). Any other word is a unit of its
// own, as in "3 erases".
type Quantity struct {
	Value float64
	// Unit is the unit as written, empty for a plain number.
	Unit string
}

// ParseQuantity reads a quantity: a decimal number, at will a space, and at
// will a unit.
func ParseQuantity(text string) (Quantity, error) {
	s := strings.Replace(strings.TrimSpace(text), "−", "-", 1)
	n := numberPrefix(s)
	if n == 0 {
		return Quantity{}, fmt.Errorf("%q is not a quantity: it needs a number, then at will a unit, as in 62%%, 178.7us or 1.5x", text)
	}
	v, err := strconv.ParseFloat(s[:n], 64)
	if err != nil || math.IsInf(v, 0) {
		return Quantity{}, fmt.Errorf("%q is not a quantity: the number is out of range", text)
	}
	unit := strings.TrimSpace(s[n:])
	if strings.ContainsFunc(strings.TrimPrefix(unit, "1/"), notInUnit) && unit != "1" {
		return Quantity{}, fmt.Errorf("%q is not a quantity: %q is not a unit, which is a word, %% or a rate such as MiB/s", text, unit)
	}
	return Quantity{Value: v, Unit: unit}, nil
}

func notInUnit(r rune) bool {
	return !unicode.IsLetter(r) && r != '%' && r != '/' && r != '_'
}

// numberPrefix is the length of the decimal number that s begins with.
func numberPrefix(s string) int {
	digits := func(i int) int {
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i
	}
	sign := func(i int) int {
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		return i
	}
	start := sign(0)
	whole := digits(start)
	end, some := whole, whole > start
	if end < len(s) && s[end] == '.' {
		end = digits(end + 1)
		some = some || end > whole+1
	}
	if !some {
		return 0
	}
	if end < len(s) && (s[end] == 'e' || s[end] == 'E') {
		if first := sign(end + 1); digits(first) > first {
			end = digits(first)
		}
	}
	return end
}

// UnmarshalText reads what [ParseQuantity] reads.
func (q *Quantity) UnmarshalText(text []byte) error {
	parsed, err := ParseQuantity(string(text))
	if err == nil {
		*q = parsed
	}
	return err
}

// MarshalText writes the quantity so that UnmarshalText reads the same back.
func (q Quantity) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// String is the quantity as a manifest has it.
func (q Quantity) String() string {
	return joinUnit(strconv.FormatFloat(q.Value, 'g', -1, 64), q.Unit)
}

// joinUnit sets a space only before a unit that would run into the number or
// that is a word of its own.
func joinUnit(number, unit string) string {
	if unit == "" {
		return number
	}
	if unit[0] == '1' || lookupUnit(unit).dim == unit {
		return number + " " + unit
	}
	return number + unit
}

// In is the quantity's value expressed in a unit of its dimension.
func (q Quantity) In(unit string) (float64, error) { return convert(q.Value, q.Unit, unit) }

// fraction is the value of a quantity that is a plain number: 0.05 for 5%.
func (q Quantity) fraction() (float64, error) { return q.In("") }
