package config

import (
	"fmt"
	"slices"
	"strings"
)

// protocols are versions of TLS, as OpenSSL writes them.
type protocols struct{ p *[]string }

var (
	protocolsSpoken = []string{TLS12, TLS13}
	protocolsBroken = []string{"TLSv1", "TLSv1.0", "TLSv1.1", "SSLv3", "SSLv2"}
)

func (v protocols) String() string { return strings.Join(*v.p, " ") }
func (v protocols) form() string   { return "version ..." }
func (v protocols) set(words []string) error {
	var chosen []string
	for _, word := range words {
		same := func(version string) bool { return strings.EqualFold(version, word) }
		switch i := slices.IndexFunc(protocolsSpoken, same); {
		case word == "": // two spaces
		case i >= 0:
			chosen = append(chosen, protocolsSpoken[i])
		case slices.ContainsFunc(protocolsBroken, same):
			return fmt.Errorf("%s is not safe any more: cairn speaks only %s", word, strings.Join(protocolsSpoken, " and "))
		default:
			return fmt.Errorf("%q is no version of TLS: write %s", word, strings.Join(protocolsSpoken, " or "))
		}
	}
	*v.p = chosen
	return nil
}
