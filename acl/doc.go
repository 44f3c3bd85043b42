// Package acl holds users and what they may do: run which commands, on which
// keys, to which channels (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
//
// A user is a list of selectors, each with commands, keys and channels; a call
// is allowed if one selector allows all of it. Rules such as "+@read" or
// "~jobs:*" change a user, all of those given together or none. A user is
// described by rules again, and these make the same user of an empty one.
//
// It knows commands by name, number and category only, and neither clients nor
// files: whoever runs commands asks [User.Check], whoever has a file hands over
// its text. Passwords are kept as their SHA-256.
//
// Start at user.go, then selector.go.
package acl
