package runner

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"reprise/artifacts"
	"reprise/checks"
)

// extract reads the observations that a shell step declares from what it
// wrote. An extractor that finds nothing is an error: no data is never a pass.
func extract(spec artifacts.Extract, stdout, stderr, work string) ([]checks.Observation, error) {
	path := stdout
	switch spec.From {
	case "", "stdout":
	case "stderr":
		path = stderr
	default:
		if !filepath.IsLocal(spec.From) {
			return nil, fmt.Errorf("extract: %s is outside the step's folder", spec.From)
		}
		path = filepath.Join(work, spec.From)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	defer func() { _ = f.Close() }()

	from := spec.From
	if from == "" {
		from = "stdout"
	}
	var found []checks.Observation
	add := func(where, value, metric string, labels map[string]string) error {
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return fmt.Errorf("extract: %s, %s: %q is not a number", from, where, value)
		}
		o := checks.Observation{Metric: spec.Metric, Value: v, Unit: spec.Unit, Labels: maps.Clone(spec.Labels)}
		if metric != "" {
			o.Metric = metric
		}
		if o.Metric == "" {
			return fmt.Errorf("extract: %s, %s: the metric has no name", from, where)
		}
		if o.Unit == "" {
			o.Unit = "1"
		}
		if len(labels) > 0 {
			if o.Labels == nil {
				o.Labels = map[string]string{}
			}
			maps.Copy(o.Labels, labels)
		}
		found = append(found, o)
		return nil
	}
	switch {
	case spec.Regex != nil:
		err = extractRegex(f, spec.Regex, add)
	case spec.CSV != nil:
		err = extractCSV(f, spec.CSV, add)
	case spec.JSON != nil:
		err = extractJSON(f, spec.JSON, add)
	default:
		err = errors.New("extract: needs regex, csv or json")
	}
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("extract: nothing in %s gives metric %s", from, spec.Metric)
	}
	return found, nil
}

type adder func(where, value, metric string, labels map[string]string) error

const longestLine = 1 << 20

func extractRegex(r io.Reader, spec *artifacts.RegexExtract, add adder) error {
	re, err := regexp.Compile(`^(?:` + spec.Line + `)`)
	if err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		match := re.FindStringSubmatch(strings.TrimSuffix(lines.Text(), "\r"))
		if match == nil {
			continue
		}
		var value, metric string
		labels := map[string]string{}
		for i, name := range re.SubexpNames() {
			switch name {
			case "":
			case "value":
				value = match[i]
			case "metric":
				metric = match[i]
			default:
				labels[name] = match[i]
			}
		}
		if err := add(fmt.Sprintf("line %d", n), value, metric, labels); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	return nil
}

func extractCSV(r io.Reader, spec *artifacts.CSVExtract, add adder) error {
	table := csv.NewReader(r)
	table.TrimLeadingSpace = true
	if spec.Comma != "" {
		table.Comma = []rune(spec.Comma)[0]
	}
	header, err := table.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("extract: the table is empty")
	}
	if err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	column := map[string]int{}
	for i, name := range header {
		column[strings.TrimSpace(name)] = i
	}
	for _, name := range append([]string{spec.Value}, spec.Labels...) {
		if _, ok := column[name]; !ok {
			return fmt.Errorf("extract: the table has no column %q, only %s", name, strings.Join(header, ", "))
		}
	}
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("extract: %w", err)
		}
		labels := map[string]string{}
		for _, name := range spec.Labels {
			labels[name] = row[column[name]]
		}
		var metric string
		if i, ok := column["metric"]; ok {
			metric = row[i]
		}
		line, _ := table.FieldPos(column[spec.Value])
		if err := add(fmt.Sprintf("line %d", line), row[column[spec.Value]], metric, labels); err != nil {
			return err
		}
	}
}

// extractJSON reads one JSON value or several in a row, and follows the path
// in each.
func extractJSON(r io.Reader, spec *artifacts.JSONExtract, add adder) error {
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	for n := 1; ; n++ {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("extract: JSON value %d: %w", n, err)
		}
		err = follow(document, splitPath(spec.Value), nil, func(value any, at []int) error {
			labels := map[string]string{}
			for name, path := range spec.Labels {
				// [*] in a label's path is the element that the value's path is at.
				err := follow(document, fix(splitPath(path), at), nil, func(v any, _ []int) error {
					labels[name] = fmt.Sprint(v)
					return nil
				})
				if err != nil {
					return err
				}
			}
			return add(fmt.Sprintf("JSON value %d, %s", n, spec.Value), fmt.Sprint(value), "", labels)
		})
		if err != nil {
			return err
		}
	}
}

// splitPath cuts jobs[*].read.mean into jobs, [*], read, mean.
func splitPath(path string) []string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	var parts []string
	for _, field := range strings.Split(path, ".") {
		name, indices, has := strings.Cut(field, "[")
		if name != "" {
			parts = append(parts, name)
		}
		if has {
			for _, index := range strings.Split(strings.TrimSuffix(indices, "]"), "][") {
				parts = append(parts, "["+index+"]")
			}
		}
	}
	return parts
}

func fix(parts []string, at []int) []string {
	fixed := make([]string, len(parts))
	for i, p := range parts {
		if p == "[*]" && len(at) > 0 {
			p, at = fmt.Sprintf("[%d]", at[0]), at[1:]
		}
		fixed[i] = p
	}
	return fixed
}

// follow walks value along the path and hands what stands at its end to
// found, with the indices that [*] took. Branches that lack a key are passed
// over, since elements of one array may differ.
func follow(value any, path []string, at []int, found func(any, []int) error) error {
	if len(path) == 0 {
		return found(value, at)
	}
	head, rest := path[0], path[1:]
	if !strings.HasPrefix(head, "[") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		next, ok := object[head]
		if !ok {
			return nil
		}
		return follow(next, rest, at, found)
	}
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	if head == "[*]" {
		for i, next := range list {
			if err := follow(next, rest, append(at[:len(at):len(at)], i), found); err != nil {
				return err
			}
		}
		return nil
	}
	i, err := strconv.Atoi(strings.Trim(head, "[]"))
	if err != nil {
		return fmt.Errorf("extract: %s is not an index", head)
	}
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil
	}
	return follow(list[i], rest, at, found)
}
