package storage

import "github.com/cockroachdb/pebble/v2"

// Policies are records beside the keys: FLUSHALL leaves them alone, as it does
// users. What is in one is the business of package policy.

func appendPolicyKey(dst []byte, name string) []byte {
	return append(append(dst, kindPolicy), name...)
}

// PutPolicy stores a policy under its name.
func (tx *Tx) PutPolicy(name string, record []byte) {
	tx.writable()
	tx.edits++
	tx.scratch = appendPolicyKey(tx.scratch[:0], name)
	tx.check(tx.batch.Set(tx.scratch, record, nil))
}

// DeletePolicy removes the policy of a name.
func (tx *Tx) DeletePolicy(name string) {
	tx.writable()
	tx.edits++
	tx.scratch = appendPolicyKey(tx.scratch[:0], name)
	tx.check(tx.batch.Delete(tx.scratch, nil))
}

// Policies calls yield for each policy that is stored, until it returns an error.
func (s *Store) Policies(yield func(name string, record []byte) error) error {
	return s.eachPolicy(s.reader(), yield)
}

func (s *Store) eachPolicy(r pebble.Reader, yield func(name string, record []byte) error) (err error) {
	tx := s.turn.views[0]
	tx.scan(r, []byte{kindPolicy}, []byte{kindPolicy + 1}, false, func(k, v []byte) bool {
		err = yield(string(k[1:]), v)
		return err == nil
	})
	if err == nil {
		err = tx.err
	}
	return err
}
