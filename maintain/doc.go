// Package maintain is what an operator does to data folders beside running a
// broker on them: checking one, backing one up, bringing a backup back.
//
// Each is a word on the command line (cairn check, cairn backup, cairn restore);
// they show how far they have come and say at the end what they have done.
package maintain
