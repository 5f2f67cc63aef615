// Package chameleon turns a platform of a manifest into leased machines of the
// Chameleon testbed (OpenStack with Blazar), and gives everything back.
package chameleon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Cloud is a login to a site and its services.
type Cloud struct {
	Site        Site
	User        string // name
	UserID      string
	Project     string // name
	ProjectID   string
	Roles       []string
	Credentials Credentials

	reservation, compute, image, network *gophercloud.ServiceClient
}

// Connection is how a Cloud talks to its services; the zero value is for use.
type Connection struct {
	Transport http.RoundTripper // http.DefaultTransport's kind when nil
	Timeout   time.Duration     // of one request; a minute when zero
	Backoff   time.Duration     // before the first repetition; a second when zero
}

// attempts is how often a request that may be repeated is made.
const attempts = 5

// Login authenticates at the site.
func Login(ctx context.Context, site Site, c Credentials, conn Connection) (*Cloud, error) {
	cloud := &Cloud{Site: site, Credentials: c}
	provider, err := openstack.NewClient(c.auth.IdentityEndpoint)
	if err != nil {
		return nil, cloud.explain("log in at "+site.Name, err)
	}
	provider.UserAgent.Prepend("reprise")
	if conn.Timeout == 0 {
		conn.Timeout = time.Minute
	}
	if conn.Backoff == 0 {
		conn.Backoff = time.Second
	}
	if conn.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = c.private
		conn.Transport = t
	}
	provider.HTTPClient = http.Client{Transport: conn.Transport, Timeout: conn.Timeout}
	provider.RetryFunc = retry(conn.Backoff)
	provider.RetryBackoffFunc = backoff(conn.Backoff)
	provider.MaxBackoffRetries = attempts - 1
	if err := openstack.Authenticate(ctx, provider, c.auth); err != nil {
		return nil, cloud.explain("log in at "+site.Name, err)
	}
	if err := cloud.identify(provider); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name   string
		client **gophercloud.ServiceClient
		open   func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{
		{"compute", &cloud.compute, openstack.NewComputeV2},
		{"image", &cloud.image, openstack.NewImageV2},
		{"network", &cloud.network, openstack.NewNetworkV2},
		{"reservation", &cloud.reservation, openstack.NewReservationV1},
	} {
		client, err := s.open(provider, c.endpoint())
		if err != nil {
			return nil, cloud.explain(fmt.Sprintf("find the %s service of region %s", s.name, c.region), err)
		}
		*s.client = client
	}
	return cloud, nil
}

// identify reads from the token who has logged in.
func (c *Cloud) identify(provider *gophercloud.ProviderClient) error {
	token, ok := provider.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return &Error{Doing: "log in at " + c.Site.Name, Kind: BadLogin, Detail: "the token does not say whose it is"}
	}
	user, err := token.ExtractUser()
	if err != nil {
		return c.explain("log in at "+c.Site.Name, err)
	}
	project, err := token.ExtractProject()
	if err != nil || project == nil {
		return &Error{Doing: "log in at " + c.Site.Name, Kind: BadLogin, Detail: "the token is for no project", Hint: "set project_name in clouds.yaml or OS_PROJECT_NAME"}
	}
	c.User, c.UserID, c.Project, c.ProjectID = user.Name, user.ID, project.Name, project.ID
	if roles, err := token.ExtractRoles(); err == nil {
		for _, r := range roles {
			c.Roles = append(c.Roles, r.Name)
		}
	}
	return nil
}

// explain is explain with the login's secrets left out.
func (c *Cloud) explain(doing string, err error) error {
	return explain(doing, err, c.Credentials.secrets())
}

// retry repeats what can be repeated: everything but POST, which might create
// a second time, where no answer came or the service failed. A login creates
// nothing. Want of hosts is an answer, though its code is 500.
func retry(first time.Duration) gophercloud.RetryFunc {
	return func(ctx context.Context, method, url string, _ *gophercloud.RequestOpts, err error, failures uint) error {
		repeatable := method != http.MethodPost || strings.HasSuffix(url, "/auth/tokens") || strings.HasSuffix(url, "/action")
		explained := explain("", err, nil)
		if !repeatable || failures >= attempts || ctx.Err() != nil || !lost(explained) && KindOf(explained) != Busy {
			return err
		}
		var code gophercloud.ErrUnexpectedResponseCode
		wait := first << (failures - 1)
		if errors.As(err, &code) {
			wait = max(wait, retryAfter(code))
		}
		if sleep(ctx, jitter(wait)) != nil {
			return err
		}
		return nil
	}
}

// backoff waits as a service that is too busy asks to. It has not begun the
// request, so even a POST can be repeated.
func backoff(first time.Duration) gophercloud.RetryBackoffFunc {
	return func(ctx context.Context, code *gophercloud.ErrUnexpectedResponseCode, _ error, failures uint) error {
		if err := sleep(ctx, jitter(max(first<<(failures-1), retryAfter(*code)))); err != nil {
			return err
		}
		return nil
	}
}

// retryAfter reads the header of that name, at most two minutes.
func retryAfter(code gophercloud.ErrUnexpectedResponseCode) time.Duration {
	text := code.ResponseHeader.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, 2*time.Minute)
	}
	return 0
}

func jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(int64(d)/4+1))
}

// sleep waits, or gives ctx's error as soon as it is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
