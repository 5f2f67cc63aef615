package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/artifacts"
)

// oneOf is a flag that takes one of a fixed set of values, or a comma list of
// them.
type oneOf struct {
	pflag.Value
	among []string
	list  bool
	unset string // its value where it is not given, which may be none of them
}

// among has a flag refuse what is none of the values, and the shell complete them.
func among(flags *pflag.FlagSet, name string, values ...string) *oneOf {
	f := flags.Lookup(name)
	o := &oneOf{Value: f.Value, among: values, unset: f.DefValue}
	f.Value = o
	return o
}

// several lets the flag take a comma list.
func (o *oneOf) several() { o.list = true }

// Set implements pflag.Value. Capitals do not matter.
func (o *oneOf) Set(text string) error {
	if text == o.unset {
		return o.Value.Set(text)
	}
	values := []string{text}
	if o.list {
		values = strings.Split(text, ",")
	}
	for i, v := range values {
		at := slices.IndexFunc(o.among, func(known string) bool { return strings.EqualFold(known, v) })
		if at < 0 {
			return &noneOfError{value: v, among: o.among}
		}
		values[i] = o.among[at]
	}
	return o.Value.Set(strings.Join(values, ","))
}

// complete offers the values; those of a list one after the other.
func (o *oneOf) complete(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	before := ""
	if o.list {
		before = begun[:strings.LastIndex(begun, ",")+1]
	}
	offered := make([]string, len(o.among))
	for i, v := range o.among {
		offered[i] = before + v
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}

// noneOfError says that a value is none of those that a flag takes.
type noneOfError struct {
	value string
	among []string
}

func (e *noneOfError) Error() string { return "there are " + strings.Join(e.among, ", ") }

// mistakenFlag says what was probably meant by a flag that cannot be read.
func mistakenFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
			return subcommand(c, words) // the flag is its
		}
		// In one word with a single dash it reads as many short flags.
		word := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); len(short) > 1 {
			word, _, _ = strings.Cut("--"+short, "=")
		}
		return fail(ExitUsage, err, meantFlag(c, word), c.CommandPath()+" --help lists the flags")
	}
	var invalid *pflag.InvalidValueError
	var none *noneOfError
	if errors.As(err, &invalid) && errors.As(err, &none) {
		return fail(ExitUsage, fmt.Errorf("--%s %q: %w", invalid.GetFlag().Name, none.value, none), artifacts.DidYouMean(none.value, none.among))
	}
	return fail(ExitUsage, err)
}

// meantFlag suggests the flag of a command that a word is near to, or the only
// one that it begins.
func meantFlag(c *cobra.Command, word string) string {
	var all, begun []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "--" + f.Name
		all = append(all, name)
		if strings.HasPrefix(name, word) {
			begun = append(begun, name)
		}
	})
	if len(begun) == 1 {
		word = begun[0]
	}
	return artifacts.DidYouMean(word, all)
}

// texts gives names of a type of their own as texts.
func texts[Name ~string](names []Name) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// subcommand refuses a word that is none of a command's subcommands.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	meant := artifacts.DidYouMean(args[0], names)
	if !c.HasParent() && slices.Contains(artifacts.EmbeddedNames(), args[0]) {
		meant = "reprise run " + args[0] + " runs that artifact, reprise show " + args[0] + " tells what it claims"
	}
	return fail(ExitUsage, fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath()), meant, c.CommandPath()+" --help lists the commands")
}
