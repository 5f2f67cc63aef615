package artifacts

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// condition is a compiled exclude condition:
//
//	expr    = and { "||" and }
//	and     = unary { "&&" unary }
//	unary   = "!" unary | "(" expr ")" | test
//	test    = name op value | name [ "not" ] "in" "[" value { "," value } "]"
//	op      = "==" | "!=" | "<" | "<=" | ">" | ">="
//	value   = word | quoted text
//
// Quantities compare as numbers (1% < 10%, 50k == 50000), the rest as texts.
type condition struct {
	text  string
	names []mention
	// comparisons is how many values it compares with, a measure of its cost.
	comparisons int
	eval        func(get func(name string) any) (bool, error)
}

// mention is an axis a condition names, and where in its text.
type mention struct {
	name    string
	at      int   // byte offset
	numeric bool  // compared by order
	values  []any // what it is compared with by equality
}

// conditionError is a mistake at a byte offset of a condition's text.
type conditionError struct {
	at      int
	message string
}

func (e *conditionError) Error() string { return e.message }

type evaluator = func(get func(name string) any) (bool, error)

// maxConditionDepth and maxComparisons bound a condition.
const (
	maxConditionDepth = 100
	maxComparisons    = 1000
)

type conditionParser struct {
	text  string
	pos   int
	depth int
	names []mention

	comparisons int
}

// parseCondition compiles text; its error is a *conditionError.
func parseCondition(text string) (c *condition, err error) {
	p := &conditionParser{text: text}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*conditionError)
			if !ok {
				panic(r)
			}
			c, err = nil, e
		}
	}()
	eval := p.or()
	if p.skip(); p.pos < len(text) {
		p.fail(p.pos, "expected && or ||, found %q", rest(text[p.pos:]))
	}
	return &condition{text: text, names: p.names, comparisons: p.comparisons, eval: eval}, nil
}

func rest(s string) string {
	if runes := []rune(s); len(runes) > 20 {
		return string(runes[:20]) + "…"
	}
	return s
}

func (p *conditionParser) fail(at int, format string, args ...any) {
	panic(&conditionError{at, fmt.Sprintf(format, args...)})
}

func (p *conditionParser) skip() {
	p.pos += len(p.text[p.pos:]) - len(strings.TrimLeftFunc(p.text[p.pos:], unicode.IsSpace))
}

// take consumes token if it comes next.
func (p *conditionParser) take(token string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *conditionParser) or() evaluator {
	left := p.and()
	for p.take("||") {
		a, b := left, p.and()
		left = func(get func(string) any) (bool, error) {
			if ok, err := a(get); ok || err != nil {
				return ok, err
			}
			return b(get)
		}
	}
	return left
}

func (p *conditionParser) and() evaluator {
	left := p.unary()
	for p.take("&&") {
		a, b := left, p.unary()
		left = func(get func(string) any) (bool, error) {
			if ok, err := a(get); !ok || err != nil {
				return false, err
			}
			return b(get)
		}
	}
	return left
}

func (p *conditionParser) unary() evaluator {
	if p.depth++; p.depth > maxConditionDepth {
		p.fail(p.pos, "the condition is nested too deeply")
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("!"):
		inner := p.unary()
		return func(get func(string) any) (bool, error) {
			ok, err := inner(get)
			return !ok && err == nil, err
		}
	case p.take("("):
		open := p.pos - 1
		inner := p.or()
		if !p.take(")") {
			p.fail(open, "this ( is not closed")
		}
		return inner
	}
	return p.test()
}

func (p *conditionParser) test() evaluator {
	p.skip()
	at := p.pos
	name := p.word(func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) })
	if name == "" {
		if at == len(p.text) {
			p.fail(at, "expected the name of an axis, found the end")
		}
		p.fail(at, "expected the name of an axis, found %q", rest(p.text[at:]))
	}
	ref := mention{name: name, at: at}
	defer func() { p.names = append(p.names, ref) }()
	p.skip()
	opAt := p.pos
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !p.take(op) {
			continue
		}
		p.skip()
		valueAt := p.pos
		want := p.value()
		if op == "==" || op == "!=" {
			ref.values = []any{want}
		}
		switch op {
		case "==":
			return func(get func(string) any) (bool, error) { return sameValue(get(name), want), nil }
		case "!=":
			return func(get func(string) any) (bool, error) { return !sameValue(get(name), want), nil }
		}
		limit, ok := quantity(want)
		if !ok {
			p.fail(valueAt, "%s compares numbers, and %q is none", op, FormatValue(want))
		}
		ref.numeric = true
		return func(get func(string) any) (bool, error) {
			x, ok := quantity(get(name))
			switch {
			case !ok:
				return false, fmt.Errorf("%s %s %s: the value %q of %s is no number", name, op, FormatValue(want), FormatValue(get(name)), name)
			case op == "<":
				return x < limit, nil
			case op == "<=":
				return x <= limit, nil
			case op == ">":
				return x > limit, nil
			}
			return x >= limit, nil
		}
	}
	negated := p.keyword("not")
	if !p.keyword("in") {
		if p.take("=") {
			p.fail(opAt, "equality is written ==")
		}
		p.fail(opAt, "expected ==, !=, <, <=, >, >= or in after %s", name)
	}
	if !p.take("[") {
		p.fail(p.pos, "expected [ after in")
	}
	open := p.pos - 1
	var among []any
	for {
		p.skip()
		among = append(among, p.value())
		if p.take(",") {
			continue
		}
		if p.take("]") {
			break
		}
		p.fail(open, "this [ is not closed")
	}
	ref.values = among
	return func(get func(string) any) (bool, error) {
		v := get(name)
		for _, want := range among {
			if sameValue(v, want) {
				return !negated, nil
			}
		}
		return negated, nil
	}
}

// keyword consumes word if it stands alone.
func (p *conditionParser) keyword(word string) bool {
	start := p.pos
	if p.take(word) {
		if r, _ := utf8.DecodeRuneInString(p.text[p.pos:]); !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
			return true
		}
	}
	p.pos = start
	return false
}

func (p *conditionParser) word(in func(rune) bool) string {
	start := p.pos
	for p.pos < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.pos:])
		if !in(r) {
			break
		}
		p.pos += size
	}
	return p.text[start:p.pos]
}

func (p *conditionParser) value() any {
	if p.comparisons++; p.comparisons > maxComparisons {
		p.fail(p.pos, "the condition compares with more than %d values", maxComparisons)
	}
	start := p.pos
	for _, quote := range []string{`"`, `'`} {
		if p.take(quote) {
			text, _, closed := strings.Cut(p.text[p.pos:], quote)
			if !closed {
				p.fail(start, "this %s is not closed", quote)
			}
			p.pos += len(text) + 1
			return text
		}
	}
	text := p.word(func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_.%+-/:@", r)
	})
	if text == "" {
		if start == len(p.text) {
			p.fail(start, "expected a value, found the end")
		}
		p.fail(start, "expected a value, found %q", rest(p.text[start:]))
	}
	return parseScalar(text)
}
