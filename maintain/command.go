package maintain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
)

// Usage is what --help says of the words.
const Usage = `  cairn check [file] [--dir folder]
      reads a data folder that no broker uses from end to end and says whether it is sound
  cairn backup [file] [--dir folder] [--to folder]
      makes a backup; with the broker's own options if it runs, its password in REDISCLI_AUTH (--as user)
  cairn restore --from backup [--dir folder]
      makes a data folder of a backup
`

// Is reports whether a word on the command line is one of this package's.
func Is(word string) bool { return word == "check" || word == "backup" || word == "restore" }

// Run does what a command line asks for, word being its first argument.
func Run(ctx context.Context, word string, args []string, out, progress io.Writer) error {
	to, args, err := take(args, "--to", word == "backup")
	if err != nil {
		return err
	}
	as, args, err := take(args, "--as", word == "backup")
	if err != nil {
		return err
	}
	from, args, err := take(args, "--from", word == "restore")
	if err != nil {
		return err
	}
	c := config.New()
	switch err := c.Load(args); {
	case errors.Is(err, config.ErrHelp):
		fmt.Fprint(out, "Usage:\n", Usage)
		return nil
	case err != nil:
		return err
	}
	switch word {
	case "check":
		return Check(vfs.Default, c.Dir, out, progress)
	case "backup":
		return Backup(ctx, c, as, os.Getenv("REDISCLI_AUTH"), to, out, progress)
	}
	if from == "" {
		return errors.New("which backup? cairn restore --from backup [--dir folder]")
	}
	return Restore(vfs.Default, from, c.Dir, out, progress)
}

// take takes an option with its value, which is no directive, out of the
// arguments.
func take(args []string, name string, known bool) (value string, rest []string, err error) {
	if !known {
		return "", args, nil
	}
	for i := 0; i < len(args); i++ {
		if v, ok := strings.CutPrefix(args[i], name+"="); ok {
			value = v
			continue
		}
		if args[i] != name {
			rest = append(rest, args[i])
			continue
		}
		if i+1 == len(args) {
			return "", nil, fmt.Errorf("%s needs a value", name)
		}
		i++
		value = args[i]
	}
	return value, rest, nil
}
