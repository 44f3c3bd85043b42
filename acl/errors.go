package acl

import "fmt"

// RuleError says which of the given rules cannot be applied, in Redis' words.
type RuleError struct {
	Rule   string // empty: the rules as a whole
	Reason Reason
}

func (e *RuleError) Error() string {
	if e.Reason == Unmatched {
		return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Rule)
	}
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %s", e.Rule, string(e.Reason))
}

// Public is the error without the rule where that may hold a password: for
// logs.
func (e *RuleError) Public() string {
	if e.Reason == Unknown {
		return fmt.Sprintf("'%s': %s", e.Rule, string(e.Reason))
	}
	return string(e.Reason)
}

// Reason is what is wrong with a rule.
type Reason string

const (
	Syntax       Reason = "Syntax error"
	Unknown      Reason = "Unknown command or category name in ACL"
	AfterAllKeys Reason = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
	AfterAllChan Reason = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
	NoPassword   Reason = "The password you are trying to remove from the user does not exist"
	BadHash      Reason = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
	Duplicate    Reason = "Duplicate user found. A user can only be defined once in config files"
	SubFirstArg  Reason = "Allowing first-arg of a subcommand is not supported"
	Unmatched    Reason = "Unmatched parenthesis in selector definition"
)
