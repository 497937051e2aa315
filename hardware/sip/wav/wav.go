// Package wav reads and writes sound as files: samples of 16 bits, one
// channel, go in and come out with how many there are in a second.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrForm is what octets wrap that cannot be read.
var ErrForm = errors.New("it is no WAV file of one channel with 16 bits a sample")

const (
	chunkHead = 8
	pcm       = 1      // WAVE_FORMAT_PCM
	muLaw     = 7      // WAVE_FORMAT_MULAW
	extended  = 0xFFFE // WAVE_FORMAT_EXTENSIBLE
	formBytes = 16
)

// Encode writes a file.
func Encode(samples []int16, rate int) []byte {
	file := begin(2*len(samples), pcm, 2, rate, 0)
	for _, s := range samples {
		file = binary.LittleEndian.AppendUint16(file, uint16(s)) //nolint:gosec // the same bits
	}
	return file
}

// EncodeMu writes a file of octets by the µ-law of G.711, which takes half the
// room. Decode does not read it; players do.
func EncodeMu(octets []byte, rate int) []byte {
	file := append(begin(len(octets), muLaw, 1, rate, len(octets)), octets...)
	if len(octets)%2 != 0 {
		file = append(file, 0) // chunks have an even length
	}
	return file
}

// begin writes all that stands before the sound, of so many octets with so many
// a sample. A form other than pcm says how many samples there are (Multimedia
// Programming Interface and Data Specifications 1.0, WAVE, "fact").
func begin(size, tag, width, rate, samples int) []byte {
	form, fact := formBytes, 0
	if tag != pcm {
		form, fact = formBytes+2, chunkHead+4
	}
	whole := 4 + chunkHead + form + fact + chunkHead + size + size%2
	file := make([]byte, 0, chunkHead+whole)
	file = append(file, "RIFF"...)
	file = binary.LittleEndian.AppendUint32(file, uint32(whole)) //nolint:gosec // far below 4 GiB
	file = append(file, "WAVEfmt "...)
	file = binary.LittleEndian.AppendUint32(file, uint32(form))       //nolint:gosec // of a few octets
	file = binary.LittleEndian.AppendUint16(file, uint16(tag))        //nolint:gosec // of 16 bits
	file = binary.LittleEndian.AppendUint16(file, 1)                  // channels
	file = binary.LittleEndian.AppendUint32(file, uint32(rate))       //nolint:gosec // samples a second
	file = binary.LittleEndian.AppendUint32(file, uint32(width*rate)) //nolint:gosec // octets a second
	file = binary.LittleEndian.AppendUint16(file, uint16(width))      //nolint:gosec // octets a sample
	file = binary.LittleEndian.AppendUint16(file, uint16(8*width))    //nolint:gosec // bits a sample
	if tag != pcm {
		file = binary.LittleEndian.AppendUint16(file, 0) // nothing more of the form
		file = append(file, "fact"...)
		file = binary.LittleEndian.AppendUint32(file, 4)
		file = binary.LittleEndian.AppendUint32(file, uint32(samples)) //nolint:gosec // far below 4 Gi
	}
	file = append(file, "data"...)
	return binary.LittleEndian.AppendUint32(file, uint32(size)) //nolint:gosec // far below 4 GiB
}

// Decode reads a file and gives its samples and how many there are in a
// second. A length that is more than there is, as programs write that stream
// to a pipe, means the rest of the file. It fails with ErrForm.
func Decode(file []byte) (samples []int16, rate int, err error) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		return nil, 0, fmt.Errorf("%w: it does not begin like one", ErrForm)
	}
	for rest := file[12:]; len(rest) >= chunkHead; {
		name, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[chunkHead:]
		size = min(size, len(rest))
		chunk := rest[:size]
		rest = rest[min(size+size%2, len(rest)):]
		switch name {
		case "fmt ":
			if rate, err = form(chunk); err != nil {
				return nil, 0, err
			}
		case "data":
			if rate == 0 {
				return nil, 0, fmt.Errorf("%w: sound before its form", ErrForm)
			}
			samples = make([]int16, size/2)
			for i := range samples {
				samples[i] = int16(binary.LittleEndian.Uint16(chunk[2*i:])) //nolint:gosec // the same bits
			}
			return samples, rate, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: it has no sound", ErrForm)
}

// form reads the chunk "fmt " and gives the rate.
func form(chunk []byte) (int, error) {
	if len(chunk) < formBytes {
		return 0, fmt.Errorf("%w: its form is too short", ErrForm)
	}
	tag, channels := binary.LittleEndian.Uint16(chunk), binary.LittleEndian.Uint16(chunk[2:])
	rate, width := binary.LittleEndian.Uint32(chunk[4:]), binary.LittleEndian.Uint16(chunk[14:])
	if tag != pcm && tag != extended || channels != 1 || width != 16 {
		return 0, fmt.Errorf("%w: form %d, %d channels, %d bits", ErrForm, tag, channels, width)
	}
	const least, most = 1000, 192_000
	if rate < least || rate > most {
		return 0, fmt.Errorf("%w: %d samples a second", ErrForm, rate)
	}
	return int(rate), nil
}
