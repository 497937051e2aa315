package config

import (
	"time"

	"herald/problem"
)

// Voice is the trunks that calls go out by, and who speaks in them.
type Voice struct {
	Trunks []TrunkAccount `yaml:"trunks" help:"Trunks of telephone providers, by SIP; see docs/voice.md."`
	Speech Speech         `yaml:"speech"`
}

// Speech is the engine that speaks texts.
type Speech struct {
	Command   []string          `yaml:"command" help:"A program and its arguments that reads a text from standard input and writes a WAV to standard output; {voice} and {speed} stand for what is chosen. None: espeak-ng."`
	Voices    map[string]string `yaml:"voices" help:"The engine's voices by language, such as en: en-us. None: those of espeak-ng."`
	Speed     int               `yaml:"speed" help:"Words a minute. 0: 160."`
	Timeout   time.Duration     `yaml:"timeout" help:"How long a text may take to be spoken. 0s: 30s."`
	Sounds    string            `yaml:"sounds" help:"A folder with the recordings that scripts play, as WAV files. Empty: none can be played."`
	CacheSize int               `yaml:"cache_size" help:"How many MiB of spoken texts are kept in data_dir. 0: 256."`
}

// TrunkAccount is one trunk of a telephone provider.
type TrunkAccount struct {
	Name       string        `yaml:"name" help:"What the console calls it."`
	Server     string        `yaml:"server" help:"The provider's, as host or host:port."`
	Transport  string        `yaml:"transport" help:"udp, tcp or tls. Empty: udp."`
	RootCAs    string        `yaml:"root_cas" help:"A PEM file with the authorities behind the server's certificate. Empty: the system's."`
	Domain     string        `yaml:"domain" help:"The provider's in addresses. Empty: the host of server."`
	Username   string        `yaml:"username" help:"The name to sign in with. Empty: the provider knows this machine's address."`
	Password   string        `yaml:"password" secret:"true" help:"The password for it."`
	Realm      string        `yaml:"realm" help:"The only realm that is given the sign-in. Empty: any."`
	Register   bool          `yaml:"register" help:"Tell the provider where we are, as a telephone does."`
	Local      string        `yaml:"local" help:"Where we listen, as host or host:port. Empty: at the address that leads to server, at any port."`
	Public     string        `yaml:"public" help:"The IP address that the provider is told, behind a NAT. Empty: ours."`
	Codecs     []string      `yaml:"codecs" help:"PCMU and PCMA, the preferred first. None: both, in this order."`
	Encryption string        `yaml:"encryption" help:"Of the sound: none, or required (SRTP; with transport tls, or its keys can be read on the way). Empty: none."`
	Response   time.Duration `yaml:"response" help:"How long the provider may say nothing to a call. 0s: 8s."`
	Quiet      time.Duration `yaml:"quiet" help:"How long a line may carry no sound before it is taken for dead. 0s: 60s."`
	AskEvery   time.Duration `yaml:"ask_every" help:"How often the provider is asked whether it is there. 0s: 30s; below 0: never."`
	PerSecond  float64       `yaml:"per_second" help:"Calls that may begin in a second on one node. 0: any number."`

	CallerNumber string `yaml:"caller_number" help:"The number that calls come from, in quotes. Empty: username."`
	CallerName   string `yaml:"caller_name" help:"A name beside it."`
	Plus         string `yaml:"plus" help:"What the provider wants before the country's code: +, \"00\", or none. Empty: +."`
	Person       string `yaml:"person" help:"The number of somebody to speak with, in quotes, whom scripts transfer to."`

	RingFor       time.Duration `yaml:"ring_for" help:"How long a phone rings. 0s: 45s."`
	LongestCall   time.Duration `yaml:"longest_call" help:"How long a call lasts at most, from its answer. 0s: 5m."`
	Tries         int           `yaml:"tries" help:"How often somebody is called for one message until somebody answers, 1 to 20. 0: 3."`
	RetryBusy     time.Duration `yaml:"retry_busy" help:"How long after a busy line. 0s: 5m."`
	RetryNoAnswer time.Duration `yaml:"retry_no_answer" help:"How long after nobody answered. 0s: 30m."`
	Machines      Machines      `yaml:"machines" help:"How answering machines are told from people."`

	Record           bool          `yaml:"record" help:"Let scripts ask for consent to record what the called person says. Nothing is recorded without it."`
	RecordFor        time.Duration `yaml:"record_for" help:"How long a recording is kept. 0s: 30 days."`
	LongestRecording time.Duration `yaml:"longest_recording" help:"How much of a call is recorded, at most 10m. 0s: 2m."`
	Use              `yaml:",inline,squash"`
}

// Machines is how answering machines are told from people.
type Machines struct {
	Ignore      bool          `yaml:"ignore" help:"Take everybody for a person, who is spoken to at once."`
	WaitForBeep time.Duration `yaml:"wait_for_beep" help:"How long a machine's greeting is waited through. 0s: 30s."`
	Rules       MachineRules  `yaml:"rules" help:"How they are told apart."`
}

// MachineRules are those by which the detection goes.
type MachineRules struct {
	SilenceThreshold     int           `yaml:"silence_threshold" help:"How loud silence is at most, of 32767. 0: 256."`
	InitialSilence       time.Duration `yaml:"initial_silence" help:"How long a line is quiet before it is a person's. 0s: 2.5s."`
	Greeting             time.Duration `yaml:"greeting" help:"How much speech is a machine's. 0s: 1.5s."`
	AfterGreetingSilence time.Duration `yaml:"after_greeting_silence" help:"How long a person waits who has spoken. 0s: 800ms."`
	TotalAnalysisTime    time.Duration `yaml:"total_analysis_time" help:"When it must be known. 0s: 5s."`
	MinimumWordLength    time.Duration `yaml:"minimum_word_length" help:"How long a word is at least. 0s: 100ms."`
	MaximumWordLength    time.Duration `yaml:"maximum_word_length" help:"How long a person's word is at most. 0s: 5s."`
	BetweenWordsSilence  time.Duration `yaml:"between_words_silence" help:"How long a pause is that ends a word. 0s: 50ms."`
	MaximumNumberOfWords int           `yaml:"maximum_number_of_words" help:"How many words are a machine's. 0: 6."`
	SilenceForBeep       time.Duration `yaml:"silence_for_beep" help:"How long a machine is silent that records without a beep. 0s: 2s."`
}

func (v Voice) check(f *problem.Fields) {
	within(f, "voice.speech.cache_size", v.Speech.CacheSize, 0, 1<<20)
	within(f, "voice.speech.speed", v.Speech.Speed, 0, 500)
	lasting(f, "voice.speech.timeout", v.Speech.Timeout, 0, 10*time.Minute)
}
