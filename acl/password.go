package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"slices"
)

// passwords are hashes in lower-case hexadecimal; a password itself is never
// kept.
type passwords []string

const hashLen = 2 * sha256.Size

func hashOf(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

func isHash(s string) bool {
	if len(s) != hashLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (p passwords) with(hash string) passwords {
	if slices.Contains(p, hash) {
		return p
	}
	return append(p, hash)
}

// without removes a hash; ok is false when it is not there.
func (p passwords) without(hash string) (rest passwords, ok bool) {
	i := slices.Index(p, hash)
	if i < 0 {
		return p, false
	}
	return slices.Delete(p, i, i+1), true
}

// match compares with all of them, in a time that depends on their number
// only.
func (p passwords) match(password string) bool {
	given := []byte(hashOf(password))
	found := 0
	for _, hash := range p {
		found |= subtle.ConstantTimeCompare(given, []byte(hash))
	}
	return found == 1
}

// GeneratedBitsMax is the most that Generate makes.
const GeneratedBitsMax = 4096

// Generate makes a password of hexadecimal digits out of random bits, rounded
// up to whole digits.
func Generate(random io.Reader, bits int) (string, error) {
	digits := (bits + 3) / 4
	raw := make([]byte, (digits+1)/2)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw)[:digits], nil
}
