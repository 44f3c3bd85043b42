// Package config is the one table of directives: the source of the command
// line's flags, of the configuration file, of CONFIG GET and SET, of --help and
// of docs/config.md.
//
// A directive is one entry in table.go and one field of [Config]. Nothing is
// accepted and ignored: what stands in the table has an effect, or has one
// possible value and refuses all others (fixed, in value.go).
//
// It knows neither files but its own nor what the values are for; who caches a
// value asks to be told of changes ([Config.OnChange]).
package config
