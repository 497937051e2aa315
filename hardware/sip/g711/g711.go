// Package g711 turns sound into the octets that telephones carry and back, by
// the two laws of ITU-T G.711: samples of 16 bits go in, 8,000 a second, and
// octets of 8 bits come out, or the other way round.
package g711

import "math/bits"

// Rate is how many samples there are in a second.
const Rate = 8000

// Law is one of the two laws.
type Law string

// The laws, by their names in SDP (RFC 3551, section 4.5.14).
const (
	Mu Law = "PCMU" // North America and Japan
	A  Law = "PCMA" // elsewhere
)

// Encode gives the octets of samples; it panics at a law that is none.
func (l Law) Encode(samples []int16) []byte {
	return l.Append(make([]byte, 0, len(samples)), samples)
}

// Append encodes samples behind the octets that are there already.
func (l Law) Append(octets []byte, samples []int16) []byte {
	one := muOf
	if l == A {
		one = aOf
	} else if l != Mu {
		panic("g711: no law " + string(l))
	}
	for _, s := range samples {
		octets = append(octets, one(s))
	}
	return octets
}

// Decode gives the samples of octets; it panics at a law that is none.
func (l Law) Decode(octets []byte) []int16 {
	return l.AppendDecoded(make([]int16, 0, len(octets)), octets)
}

// AppendDecoded decodes octets behind the samples that are there already.
func (l Law) AppendDecoded(samples []int16, octets []byte) []int16 {
	one := ofMu
	if l == A {
		one = ofA
	} else if l != Mu {
		panic("g711: no law " + string(l))
	}
	for _, o := range octets {
		samples = append(samples, one(o))
	}
	return samples
}

const (
	muBias = 33 << 2 // of 14 bits, here of 16
	muMost = 8158 << 2
)

// muOf is the µ-law (G.711, tables 2a and 2b): the sign, three bits for the
// segment and four for the place in it, all inverted.
func muOf(sample int16) byte {
	size, sign := int(sample), byte(0)
	if size < 0 {
		size, sign = -size, 0x80
	}
	size = min(size, muMost) + muBias
	segment := bits.Len(uint(size)) - 8 //nolint:gosec // it is not negative
	place := size >> (segment + 3) & 0xF
	return ^(sign | byte(segment)<<4 | byte(place)) //nolint:gosec // seven bits
}

func ofMu(octet byte) int16 {
	octet = ^octet
	segment, place := int(octet>>4&7), int(octet&0xF)
	size := (place<<3+muBias)<<segment - muBias
	if octet&0x80 != 0 {
		size = -size
	}
	return int16(size) //nolint:gosec // at most 32,124
}

// aOf is the A-law (G.711, tables 1a and 1b): as the µ-law, of 13 bits and
// without a bias, with every second bit inverted.
func aOf(sample int16) byte {
	size, flip := int(sample)>>3, byte(0xD5)
	if size < 0 {
		size, flip = -size-1, 0x55
	}
	segment := max(0, bits.Len(uint(size))-5) //nolint:gosec // it is not negative
	place := size >> max(1, segment) & 0xF
	return (byte(segment)<<4 | byte(place)) ^ flip //nolint:gosec // seven bits
}

func ofA(octet byte) int16 {
	octet ^= 0x55
	segment, place := int(octet>>4&7), int(octet&0xF)
	size := place<<4 + 8
	if segment > 0 {
		size = (size + 0x100) << (segment - 1)
	}
	if octet&0x80 == 0 {
		size = -size
	}
	return int16(size) //nolint:gosec // at most 32,256
}
