package chameleon

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"go.yaml.in/yaml/v3"
)

// Credentials are a login to one site.
type Credentials struct {
	// From says where they were found, for people: "cloud uc in clouds.yaml".
	From    string
	auth    gophercloud.AuthOptions
	region  string
	private *tls.Config
}

// ApplicationCredential says that they are one, not a password.
func (c Credentials) ApplicationCredential() bool { return c.auth.ApplicationCredentialSecret != "" }

// endpoint chooses the region's services from the catalogue.
func (c Credentials) endpoint() gophercloud.EndpointOpts {
	return gophercloud.EndpointOpts{Region: c.region}
}

// secrets are the texts that no message may hold.
func (c Credentials) secrets() []string {
	return []string{c.auth.Password, c.auth.ApplicationCredentialSecret, c.auth.TokenID}
}

// FindCredentials finds the login to a site, in this order: the entry cloud of
// clouds.yaml (cloud may be empty: OS_CLOUD then); the OS_ variables of an
// openrc file; the entry of clouds.yaml that is for the site. clouds.yaml is
// $OS_CLIENT_CONFIG_FILE, or the first of ./clouds.yaml,
// ~/.config/openstack/clouds.yaml and /etc/openstack/clouds.yaml.
func FindCredentials(site Site, cloud string, getenv func(string) string) (Credentials, error) {
	if cloud == "" {
		cloud = getenv("OS_CLOUD")
	}
	if cloud == "" && getenv("OS_AUTH_URL") != "" {
		return fromVariables(site, getenv)
	}
	path, data, err := readClouds(getenv)
	if err != nil {
		return Credentials{}, missing(err.Error(), "download clouds.yaml or an openrc file from the site's web page (Identity → Application Credentials; unrestricted)")
	}
	var file, secure cloudsFile
	if err := yaml.Unmarshal(data, &file); err != nil {
		// The parser's message may quote the file, and with it a secret.
		return Credentials{}, missing(path+" is not valid YAML"+lineOf(err), "download it again")
	}
	names := slices.Sorted(maps.Keys(file.Clouds))
	if len(names) == 0 {
		return Credentials{}, missing(path+` has no section "clouds"`, "download it again from the site's web page")
	}
	if cloud == "" {
		i := slices.IndexFunc(names, func(n string) bool {
			entry := file.Clouds[n]
			return entry.Region == site.Region || entry.Region == "" && entry.Auth != nil && sameHost(entry.Auth.URL, site.AuthURL)
		})
		if i < 0 {
			return Credentials{}, missing(fmt.Sprintf("no cloud in %s is for %s (region_name %s); it has %s", path, site.Name, site.Region, strings.Join(names, ", ")),
				"choose one with --cloud NAME, or add the site's entry")
		}
		cloud = names[i]
	}
	if !slices.Contains(names, cloud) {
		return Credentials{}, missing(fmt.Sprintf("no cloud %q in %s; it has %s", cloud, path, strings.Join(names, ", ")), "choose one with --cloud NAME")
	}
	options := []clouds.ParseOption{
		clouds.WithCloudName(cloud), clouds.WithCloudsYAML(bytes.NewReader(data)),
		clouds.WithRegion(getenv("OS_REGION_NAME")), clouds.WithEndpointType(getenv("OS_INTERFACE")),
	}
	securePath := filepath.Join(filepath.Dir(path), "secure.yaml")
	if data, err := os.ReadFile(securePath); err == nil {
		if err := yaml.Unmarshal(data, &secure); err != nil {
			return Credentials{}, missing(securePath+" is not valid YAML"+lineOf(err), "see the documentation of openstacksdk")
		}
		if len(secure.Clouds) > 0 { // the parser takes an empty file for a broken one
			options = append(options, clouds.WithSecureYAML(bytes.NewReader(data)))
		}
	}
	if file.Clouds[cloud].Auth == nil && secure.Clouds[cloud].Auth == nil { // the parser would panic
		return Credentials{}, missing(fmt.Sprintf(`cloud %s in %s has no section "auth"`, cloud, path), "download the file again")
	}
	auth, endpoint, private, err := clouds.Parse(options...)
	if err != nil {
		return Credentials{}, missing(fmt.Sprintf("cloud %s in %s cannot be understood%s", cloud, path, lineOf(err)), "download the file again")
	}
	c := Credentials{From: fmt.Sprintf("cloud %s in %s", cloud, path), auth: auth, region: endpoint.Region, private: private}
	return c.check(site, func(field string) string { return "auth." + field }, "in "+c.From)
}

// cloudsFile is what has to be known of clouds.yaml to choose an entry.
type cloudsFile struct {
	Clouds map[string]struct {
		Region string `yaml:"region_name"`
		Auth   *struct {
			URL string `yaml:"auth_url"`
		} `yaml:"auth"`
	} `yaml:"clouds"`
}

// lineOf keeps of a parser's error the line alone.
func lineOf(err error) string {
	if _, rest, ok := strings.Cut(err.Error(), "line "); ok {
		if n := strings.TrimRight(strings.Fields(rest)[0], ":"); n != "" {
			return ", line " + n
		}
	}
	return ""
}

func readClouds(getenv func(string) string) (string, []byte, error) {
	paths := []string{"clouds.yaml", filepath.Join(configHome(getenv), "openstack", "clouds.yaml"), "/etc/openstack/clouds.yaml"}
	if p := getenv("OS_CLIENT_CONFIG_FILE"); p != "" {
		paths = []string{p}
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err == nil {
			return p, data, nil
		}
		if !os.IsNotExist(err) {
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("no credentials: OS_AUTH_URL is not set and there is no %s", strings.Join(paths, ", "))
}

func configHome(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".config")
}

func sameHost(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Host != "" && strings.EqualFold(x.Hostname(), y.Hostname())
}

// fromVariables reads what an openrc file sets. gophercloud's own reader does
// not know the separate domains of user and project that Chameleon's files set.
func fromVariables(site Site, getenv func(string) string) (Credentials, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	auth := gophercloud.AuthOptions{
		IdentityEndpoint:            getenv("OS_AUTH_URL"),
		Username:                    getenv("OS_USERNAME"),
		UserID:                      first("OS_USER_ID", "OS_USERID"),
		Password:                    getenv("OS_PASSWORD"),
		DomainID:                    first("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
		DomainName:                  first("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
		TokenID:                     first("OS_TOKEN", "OS_AUTH_TOKEN"),
		ApplicationCredentialID:     getenv("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   getenv("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
	}
	if auth.ApplicationCredentialSecret == "" {
		if id := first("OS_PROJECT_ID", "OS_TENANT_ID"); id != "" {
			auth.Scope = &gophercloud.AuthScope{ProjectID: id}
		} else if name := first("OS_PROJECT_NAME", "OS_TENANT_NAME"); name != "" {
			auth.Scope = &gophercloud.AuthScope{
				ProjectName: name,
				DomainID:    first("OS_PROJECT_DOMAIN_ID", "OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
				DomainName:  first("OS_PROJECT_DOMAIN_NAME", "OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
			}
			if auth.Scope.DomainID != "" {
				auth.Scope.DomainName = ""
			}
		}
	}
	c := Credentials{From: "the OS_ variables", auth: auth, region: getenv("OS_REGION_NAME")}
	return c.check(site, func(field string) string { return "OS_" + strings.ToUpper(field) }, "in the environment")
}

// check names what is missing by the name it has in its source.
func (c Credentials) check(site Site, named func(field string) string, where string) (Credentials, error) {
	a := &c.auth
	lacks := func(field string) (Credentials, error) {
		return Credentials{}, missing(fmt.Sprintf("%s is missing %s", named(field), where), "download the site's clouds.yaml or openrc file again, or set it")
	}
	if a.IdentityEndpoint == "" {
		a.IdentityEndpoint = site.AuthURL
	}
	if c.region == "" {
		c.region = site.Region
	}
	switch {
	case a.ApplicationCredentialID != "" || a.ApplicationCredentialName != "" || a.ApplicationCredentialSecret != "":
		switch {
		case a.ApplicationCredentialSecret == "":
			return lacks("application_credential_secret")
		case a.ApplicationCredentialID == "" && a.ApplicationCredentialName == "":
			return lacks("application_credential_id")
		case a.ApplicationCredentialID == "" && a.Username == "" && a.UserID == "":
			return lacks("username")
		}
		a.Scope, a.TenantID, a.TenantName, a.Password = nil, "", "", "" // the credential is scoped by itself
	case a.TokenID != "":
	case a.Username == "" && a.UserID == "":
		return lacks("username")
	case a.Password == "":
		return lacks("password")
	case a.UserID == "" && a.DomainID == "" && a.DomainName == "":
		return lacks("user_domain_name")
	case a.Scope == nil || a.Scope.ProjectID == "" && a.Scope.ProjectName == "":
		return lacks("project_name")
	case a.Scope.ProjectID == "" && a.Scope.DomainID == "" && a.Scope.DomainName == "":
		return lacks("project_domain_name")
	}
	if c.region != site.Region && !sameHost(a.IdentityEndpoint, site.AuthURL) {
		return Credentials{}, missing(fmt.Sprintf("the credentials %s are for region %s, not for %s", where, c.region, site.Name),
			"every site has its own: choose the right entry with --cloud NAME, or source the site's openrc file")
	}
	a.AllowReauth = a.TokenID == ""
	return c, nil
}

func missing(detail, hint string) error {
	return &Error{Doing: "credentials", Kind: BadLogin, Detail: detail, Hint: hint}
}
