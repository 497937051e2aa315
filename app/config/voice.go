package config

import (
	"fmt"
	"time"

	"herald/problem"
)

// Voice is the trunks that calls go out by, and who speaks in them.
type Voice struct {
	Trunks []TrunkAccount `yaml:"trunks" help:"Telephone providers, by SIP."`
	Speech Speech         `yaml:"speech"`

	KeepRecordings time.Duration `yaml:"keep_recordings" help:"How long recordings of calls are kept."`
}

// Speech is the engine that speaks texts.
type Speech struct {
	Command   []string          `yaml:"command" help:"A program and its arguments that reads a text from standard input and writes a WAV to standard output; {voice} and {speed} stand for what is chosen. None: espeak-ng."`
	Voices    map[string]string `yaml:"voices" help:"The engine's voices by language, such as zh-CN: cmn. None: those of espeak-ng."`
	Speed     int               `yaml:"speed" help:"Words a minute. 0: 150."`
	Timeout   time.Duration     `yaml:"timeout" help:"How long a text may take to be spoken. 0s: 30s."`
	Sounds    string            `yaml:"sounds" help:"A folder with the recordings that scripts play, as WAV files. Empty: none can be played."`
	CacheSize int               `yaml:"cache_size" help:"How many MiB of spoken texts are kept in data_dir. 0: 256."`
}

// TrunkAccount is one provider of telephone lines.
type TrunkAccount struct {
	Name        string        `yaml:"name" help:"What the console calls it."`
	Server      string        `yaml:"server" help:"The provider's, as host or host:port."`
	Transport   string        `yaml:"transport" help:"udp, tcp or tls. Empty: udp."`
	RootCAs     string        `yaml:"root_cas" help:"A PEM file with the authorities behind the server's certificate. Empty: the system's."`
	Domain      string        `yaml:"domain" help:"The provider's in addresses. Empty: the host of server."`
	Username    string        `yaml:"username" help:"For digest authentication. Empty: none."`
	Password    string        `yaml:"password" secret:"true" help:"The password for it."`
	Realm       string        `yaml:"realm" help:"The only realm that is given the password. Empty: any."`
	From        string        `yaml:"from" help:"The number that calls come from, in quotes. Empty: username."`
	FromName    string        `yaml:"from_name" help:"A name for it."`
	Register    bool          `yaml:"register" help:"Keep registered with the provider."`
	RegisterFor time.Duration `yaml:"register_for" help:"How long a registration lasts. 0s: 10m."`
	Local       string        `yaml:"local" help:"Where we listen, as host or host:port. Empty: the address that leads to server, and any port."`
	Public      string        `yaml:"public" help:"The address that the provider is told, where it is another than ours. Empty: ours."`
	Codecs      []string      `yaml:"codecs" help:"PCMU, PCMA: the preferred first. None: both."`

	Response    time.Duration `yaml:"response" help:"How long the provider may say nothing to a call. 0s: 8s."`
	Ring        time.Duration `yaml:"ring" help:"How long a phone rings. 0s: 45s."`
	Quiet       time.Duration `yaml:"quiet" help:"How long a far end may send no sound before it is taken for gone. 0s: 60s."`
	LongestCall time.Duration `yaml:"longest_call" help:"When a call is ended in any case. 0s: 5m."`
	PerSecond   float64       `yaml:"calls_per_second" help:"How many calls may begin in a second on one node. 0: any number."`

	Tries         int           `yaml:"tries" help:"How often somebody is called who is busy, does not answer, or has a machine that gets no message. 0: 3."`
	RetryBusy     time.Duration `yaml:"retry_busy" help:"How long after a busy line. 0s: 5m."`
	RetryNoAnswer time.Duration `yaml:"retry_no_answer" help:"How long after nobody answered. 0s: 30m."`
	Person        string        `yaml:"person" help:"The number of somebody to speak with, in quotes: whom scripts transfer to that name nobody."`
	Answering     Answering     `yaml:"answering"`
	Record        bool          `yaml:"record" help:"Let scripts ask for consent to record what the called person says. Nothing is recorded without it."`
	LongestRecord time.Duration `yaml:"longest_recording" help:"How much of a call is recorded. 0s: 2m."`
	Use           `yaml:",inline,squash"`
}

// Answering is how answering machines are told from people.
type Answering struct {
	Off            bool          `yaml:"off" help:"Take whoever answers for a person."`
	InitialSilence time.Duration `yaml:"initial_silence" help:"Who says nothing for so long is a person who waits. 0s: 2.5s."`
	Greeting       time.Duration `yaml:"greeting" help:"Who speaks longer than this is a machine. 0s: 1.5s."`
	AfterGreeting  time.Duration `yaml:"after_greeting" help:"Who is silent for so long after a greeting is a person. 0s: 800ms."`
	Total          time.Duration `yaml:"total" help:"After so long who is not known is a person. 0s: 5s."`
	MinWord        time.Duration `yaml:"min_word" help:"What is shorter is no word. 0s: 100ms."`
	BetweenWords   time.Duration `yaml:"between_words" help:"The silence that ends a word. 0s: 50ms."`
	MaxWords       int           `yaml:"max_words" help:"Who says more words is a machine. 0: 3."`
	SilenceLevel   int           `yaml:"silence_level" help:"The mean loudness, of 32767, below which is silence. 0: 256."`
}

func (v Voice) check(f *problem.Fields) {
	lasting(f, "voice.keep_recordings", v.KeepRecordings, time.Hour, 10*365*24*time.Hour)
	within(f, "voice.speech.cache_size", v.Speech.CacheSize, 0, 1<<20)
	within(f, "voice.speech.speed", v.Speech.Speed, 0, 500)
	lasting(f, "voice.speech.timeout", v.Speech.Timeout, 0, 10*time.Minute)
	for i, t := range v.Trunks {
		if t.Server == "" {
			f.Add(fmt.Sprintf("voice.trunks[%d].server", i), "required", "name the provider's server")
		}
	}
}
