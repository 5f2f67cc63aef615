package cache

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the table of memory in the documentation")

// held sums what a value and all that it points to take, whatever of the slices
// is in use.
func held(v reflect.Value, seen map[uintptr]bool) int {
	n := 0
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			n = int(v.Type().Elem().Size()) + held(v.Elem(), seen)
		}
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		if pointers(v.Type().Elem()) {
			for i := range v.Len() {
				n += held(v.Index(i), seen)
			}
		}
	case reflect.Array:
		if pointers(v.Type().Elem()) {
			for i := range v.Len() {
				n += held(v.Index(i), seen)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += held(v.Field(i), seen)
		}
	}
	return n
}

func pointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return true
	case reflect.Array:
		return pointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if pointers(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// Traces that fill a cache of so many objects, and its ghosts, in unlike ways.
var fillings = []func(capacity uint64) *Trace{
	// Nothing comes again.
	func(capacity uint64) *Trace {
		t := &Trace{}
		for i := range 4 * capacity {
			t.ids = append(t.ids, i*i)
		}
		return t
	},
	// Everything comes twice at once, and half of it again after long.
	func(capacity uint64) *Trace {
		t := &Trace{}
		for i := range 4 * capacity {
			t.ids = append(t.ids, i*i, i*i)
			if i > capacity && i%2 == 0 {
				t.ids = append(t.ids, (i-capacity)*(i-capacity))
			}
		}
		return t
	},
	// Everything comes again after a while.
	func(capacity uint64) *Trace {
		t := &Trace{}
		for i := range 6 * capacity {
			at := i % (capacity + capacity/2)
			t.ids = append(t.ids, at*at)
		}
		return t
	},
	// Skew.
	func(capacity uint64) *Trace { return zipf(int(10*capacity), 16*capacity, 1.01) },
}

// bytesPerObject gives what a policy takes for each resident object when it is
// full and sizes are ignored, at most: what a cache of twice as many takes more.
// tracked is how many objects it then knows for each resident one.
func bytesPerObject(t *testing.T, policy string) (most, tracked float64) {
	for _, filling := range fillings {
		measure := func(capacity int64) (bytes, residents, known int) {
			trace := filling(uint64(capacity))
			trace.ready()
			p := choice(t, policy).New(capacity, 0)
			c, foresees := p.(clairvoyant)
			if foresees {
				c.Foresee(trace.next())
			}
			// Not to the end, where nothing is requested again.
			replay(p, trace, 0, trace.Len()*3/4, &Result{})
			if foresees {
				c.Foresee(nil) // which is the trace's
			}
			return held(reflect.ValueOf(p), map[uintptr]bool{}), p.Len(), p.Known()
		}
		// Of which a sixteenth is whole chunks: so are the gaps that there may be.
		const n = gapsBound * chunkSlots
		bytes, residents, known := measure(n)
		more, moreResidents, moreKnown := measure(2 * n)
		if residents <= n*9/10 || moreResidents <= 2*n*9/10 {
			continue
		}
		if each := float64(more-bytes) / float64(moreResidents-residents); each > most {
			most, tracked = each, float64(moreKnown-known)/float64(moreResidents-residents)
		}
	}
	return most, tracked
}

const memoryPage = "../../docs/artifacts/codesign.md"

var memoryRows = regexp.MustCompile(`(?s)\| policy \| bytes a resident object \| objects tracked \| bytes each \|\n\|---\|---\|---\|---\|\n(\| [^\n]* \|\n)+`)

// What the documentation says of memory is what is held.
func TestBytesPerObject(t *testing.T) {
	var table strings.Builder
	table.WriteString("| policy | bytes a resident object | objects tracked | bytes each |\n|---|---|---|---|\n")
	for _, spec := range Policies() {
		bytes, tracked := bytesPerObject(t, spec.Name)
		fmt.Fprintf(&table, "| %s | %.1f | %.1f | %.1f |\n", spec.Name, bytes, tracked, bytes/tracked)
	}
	page, err := os.ReadFile(memoryPage)
	require.NoError(t, err)
	if *update {
		page = memoryRows.ReplaceAll(page, []byte(table.String()))
		require.NoError(t, os.WriteFile(memoryPage, page, 0o644))
	}
	require.Equal(t, table.String(), string(memoryRows.Find(page)), "go test ./policies/cache -run BytesPerObject -update")
}
