package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"herald/problem"
)

// Prefix begins every variable that Herald reads: HERALD_HTTP_LISTEN sets
// http.listen. A list is written as in YAML: HERALD_ROLES='[web]'.
const Prefix = "HERALD_"

// FileVariable names the configuration file itself; it is no setting.
const FileVariable = Prefix + "CONFIG"

// Load reads the file at path (none when empty), then the variables in
// environ ("NAME=value"), over the defaults, and checks the whole. What only
// others know to be wrong, such as the drivers of accounts, also tells.
func Load(path string, environ []string, also ...func(Config) problem.Fields) (Config, error) {
	var source []byte
	if path != "" {
		var err error
		if source, err = os.ReadFile(path); err != nil {
			return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
		}
	}
	return load(path, source, environ, also)
}

func load(path string, source []byte, environ []string, also []func(Config) problem.Fields) (Config, error) {
	file, err := parseFile(path, source)
	if err != nil {
		return Config{}, err
	}
	variables, err := readVariables(environ)
	if err != nil {
		return Config{}, err
	}
	cfg, err := merge(file, variables)
	if err != nil {
		return Config{}, err
	}
	mistakes := cfg.check()
	for _, more := range also {
		if len(mistakes) == 0 {
			mistakes = more(cfg)
		}
	}
	if len(mistakes) > 0 {
		where := locator{path: path, source: source, variables: variables}
		return Config{}, where.explain(mistakes)
	}
	return cfg, nil
}

// parseFile reads the YAML strictly: an unknown field or a value of the wrong
// type is an error with its line and the lines around it.
func parseFile(path string, source []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(source)) == 0 {
		return nil, nil
	}
	var strict Config
	if err := yaml.NewDecoder(bytes.NewReader(source), yaml.Strict()).Decode(&strict); err != nil {
		return nil, describeSyntax(path, source, err)
	}
	tree := map[string]any{}
	if err := yaml.Unmarshal(source, &tree); err != nil {
		return nil, describeSyntax(path, source, err)
	}
	return tree, nil
}

func describeSyntax(path string, source []byte, err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p := at.GetToken().Position
	message := at.GetMessage()
	var mismatch *yaml.TypeError
	if errors.As(err, &mismatch) {
		message = fmt.Sprintf("%s must be a %s", keyAt(source, p.Line), kindInWords(mismatch.DstType))
	}
	return fmt.Errorf("%s:%d:%d: %s", path, p.Line, p.Column, message)
}

// keyAt is the name that a line of YAML sets.
func keyAt(source []byte, line int) string {
	lines := strings.Split(string(source), "\n")
	if line < 1 || line > len(lines) {
		return "the value"
	}
	key, _, _ := strings.Cut(strings.TrimLeft(lines[line-1], " -"), ":")
	return key
}

// readVariables gives the values of HERALD_… variables by field path. A
// variable that names no field is a mistake, not something to pass over.
func readVariables(environ []string) (map[string]any, error) {
	known := map[string]field{}
	for _, f := range fields() {
		known[f.variable()] = f
	}
	var unknown []string
	wrong := error(nil)
	values := koanf.New(".")
	err := values.Load(env.Provider(".", env.Opt{
		Prefix:      Prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if name == FileVariable {
				return "", nil
			}
			f, ok := known[name]
			if !ok {
				unknown = append(unknown, name)
				return "", nil
			}
			parsed, err := f.parse(value)
			if err != nil {
				wrong = fmt.Errorf("%s: %w", name, err)
			}
			return f.path, parsed
		},
	}), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot read the variables: %w", err)
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return nil, fmt.Errorf("%s: no such setting; `herald config example` lists them all", strings.Join(unknown, ", "))
	}
	if wrong != nil {
		return nil, wrong
	}
	return values.All(), nil
}

// merge lays the file and then the variables over the defaults.
func merge(file, variables map[string]any) (Config, error) {
	k := koanf.New(".")
	for _, layer := range []map[string]any{file, variables} {
		if err := k.Load(confmap(layer), nil); err != nil {
			return Config{}, fmt.Errorf("cannot merge the configuration: %w", err)
		}
	}
	cfg := Default()
	cfg.makeRoom(k)
	if err := k.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{Tag: "yaml"}); err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	for _, a := range cfg.accounts() {
		a.use.Limits = a.use.Limits.Defaults()
	}
	return cfg, nil
}

// confmap is a koanf provider of a map, nested or with dotted keys.
type confmap map[string]any

func (m confmap) ReadBytes() ([]byte, error) { return nil, errors.New("a map has no bytes") }

func (m confmap) Read() (map[string]any, error) {
	k := koanf.New(".")
	for path, value := range m {
		if err := k.Set(path, value); err != nil {
			return nil, err
		}
	}
	return k.Raw(), nil
}

// makeRoom makes as many accounts as are set, with their defaults, for what is
// set to be laid over them.
func (c *Config) makeRoom(k *koanf.Koanf) {
	company := k.String("company.name")
	c.Email.Accounts = room(k, "email.accounts", EmailAccount{
		Port: 587, TLS: "starttls", FromName: company, Timeout: 30 * time.Second, Use: Use{MaxSessions: 10, Weight: 1},
	})
	// What comes back comes on a session: one stays open.
	c.SMS.SMPP = room(k, "sms.smpp", SMPPAccount{Use: Use{MinSessions: 1, MaxSessions: 1, Weight: 1}})
	c.SMS.CMPP = room(k, "sms.cmpp", CMPPAccount{Use: Use{MinSessions: 1, MaxSessions: 1, Weight: 1}})
	c.SMS.SGIP = room(k, "sms.sgip", SGIPAccount{Use: Use{MaxSessions: 1, Weight: 1}})
	// Web servers end idle connections soon.
	c.SMS.Gateways = room(k, "sms.gateways", GatewayAccount{Use: Use{MaxSessions: 10, CheckAfter: time.Second, Weight: 1}})
	c.Collectors.Queries = room(k, "collectors.queries", usualQuery)
	c.Collectors.Folders = room(k, "collectors.folders", usualFolder)
	c.Collectors.Streams = room(k, "collectors.streams", usualStream)
	c.SMS.Modems = room(k, "sms.modems", ModemAccount{Use: Use{MaxSessions: 1, Weight: 1}})
	c.Voice.Trunks = room(k, "voice.trunks", TrunkAccount{Use: Use{MaxSessions: 10, Weight: 1}})
	c.Fax.Servers = room(k, "fax.servers", FaxAccount{SenderName: company, Use: Use{MaxSessions: 2, Weight: 1}})
}

// room is as many items like usual as the list at path has.
func room[T any](k *koanf.Koanf, path string, usual T) []T {
	set, _ := k.Get(path).([]any)
	if len(set) == 0 {
		return nil
	}
	return slices.Repeat([]T{usual}, len(set))
}
