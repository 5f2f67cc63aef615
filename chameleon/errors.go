package chameleon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Kind says what sort of thing went wrong.
type Kind string

// The kinds of failure.
const (
	NoHosts     Kind = "no hosts"      // none free for the time asked for
	NoAddresses Kind = "no addresses"  // no floating IP free
	BadLogin    Kind = "credentials"   // missing, wrong or too weak
	Forbidden   Kind = "forbidden"     // these credentials may not
	Missing     Kind = "missing"       // it does not exist
	Quota       Kind = "quota"         // the project's share is used up
	Invalid     Kind = "invalid"       // the service did not take the request
	Conflict    Kind = "conflict"      // in the present state it cannot be done
	Busy        Kind = "busy"          // too many requests
	Faulty      Kind = "service fault" // the service failed
	Unreachable Kind = "unreachable"   // no answer, or half of one
	Broken      Kind = "broken"        // a lease or instance went to an error state
	TimedOut    Kind = "timed out"     // a lease, instance or SSH never came
	Limit       Kind = "limit"         // a limit of the site or of the caller
)

// Error is a failure of the testbed, with what can be done about it.
type Error struct {
	Doing  string // the action: "create the lease"
	Kind   Kind
	Detail string // what the service said
	Hint   string // what to do; may be empty
	Err    error
}

func (e *Error) Error() string { return e.Doing + ": " + e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of an error of this package, "" for another's.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// HintOf gives what to do about an error of this package, "" if there is
// nothing to say.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// explain turns an answer or a failure to get one into an Error, without the
// secrets that a service may have repeated.
func explain(doing string, err error, secrets []string) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	}
	e := &Error{Doing: doing}
	var code gophercloud.ErrUnexpectedResponseCode
	var relogin *gophercloud.ErrUnableToReauthenticate
	var missing gophercloud.ErrEndpointNotFound
	var missingService *gophercloud.ErrEndpointNotFound
	switch {
	case errors.As(err, &relogin):
		e.Kind, e.Detail = BadLogin, "the login has expired and could not be renewed"
		e.Hint = "reprise chameleon login --check"
		if errors.As(relogin.ErrReauth, &code) {
			e.Detail += ": " + message(code.Body)
		}
	case errors.As(err, &code):
		e.answer(code.Actual, message(code.Body))
	case errors.As(err, &missing), errors.As(err, &missingService):
		e.Kind, e.Detail = Missing, "the site's catalogue has no such service in this region"
		e.Hint = "check the region with reprise chameleon sites"
	default:
		e.Kind, e.Detail = Unreachable, transportReason(err)
		e.Hint = "check the network; the site's status is on https://chameleoncloud.org"
	}
	e.Detail = scrub(e.Detail, secrets)
	// The cause is kept as text alone: gophercloud's errors carry whole bodies.
	e.Err = errors.New(scrub(err.Error(), secrets))
	if errors.Is(err, context.DeadlineExceeded) {
		e.Err = context.DeadlineExceeded
	}
	return e
}

func (e *Error) answer(code int, text string) {
	lower := strings.ToLower(text)
	e.Detail = fmt.Sprintf("%s (HTTP %d)", text, code)
	switch {
	case strings.Contains(lower, "not enough hosts"):
		// Want of hosts is a 500; so is a node type that does not exist.
		e.Kind, e.Detail = NoHosts, "not enough hosts available for that time (or no host of that node type)"
		e.Hint = "wait for hardware with --wait-for-hardware 3d, or try another node type or site"
	case strings.Contains(lower, "not enough floating ip"), strings.Contains(lower, "no more ip addresses"):
		e.Kind, e.Detail = NoAddresses, "no floating IP is free"
		e.Hint = "release unused floating IPs of the project, or wait"
	case strings.Contains(lower, "quota exceeded"), strings.Contains(lower, "overquota"), code == http.StatusRequestEntityTooLarge:
		e.Kind, e.Hint = Quota, "delete what the project no longer uses, or ask for more"
	case code == http.StatusUnauthorized:
		e.Kind, e.Hint = BadLogin, "check user, password and project, or the application credential, with reprise chameleon login --check"
	case code == http.StatusForbidden:
		e.Kind, e.Hint = Forbidden, "an application credential needs the roles member and reader"
	case code == http.StatusNotFound:
		e.Kind = Missing
	case code == http.StatusConflict:
		e.Kind = Conflict
	case code == http.StatusTooManyRequests:
		e.Kind, e.Hint = Busy, "wait a while"
	case code >= 500:
		e.Kind = Faulty
		if strings.Contains(lower, "internal server error") && strings.Contains(e.Doing, "lease") {
			e.Hint = "with an application credential, it must be unrestricted: Blazar makes a trust, and answers this where it cannot"
		}
	default:
		e.Kind = Invalid
	}
}

// message finds the text in the errors of Keystone, Nova, Neutron, Glance and
// Blazar.
func message(body []byte) string {
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		if m := messageIn(fields); m != "" {
			return m
		}
	}
	text := strings.Join(strings.Fields(string(body)), " ")
	if text == "" || strings.HasPrefix(text, "<") || strings.HasPrefix(text, "{") {
		return "the service gave no reason"
	}
	return text[:min(len(text), 300)]
}

func messageIn(fields map[string]any) string {
	for _, key := range []string{"error_message", "message"} {
		if m, ok := fields[key].(string); ok {
			return m
		}
	}
	for _, v := range fields {
		if inner, ok := v.(map[string]any); ok {
			if m := messageIn(inner); m != "" {
				return m
			}
		}
	}
	return ""
}

func transportReason(err error) string {
	var timeout net.Error
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &syntax), strings.Contains(err.Error(), "unexpected EOF"):
		return "the answer was cut short"
	}
	return err.Error()
}

func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	return text
}

// lost says that nobody knows whether the request was carried out: its answer
// did not come, or came from a service in trouble.
func lost(err error) bool {
	switch KindOf(err) {
	case Unreachable, Faulty:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
