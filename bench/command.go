package main

import "strconv"

// command appends a command.
func command(b []byte, words ...string) []byte {
	return appendWords(header(b, len(words)), words...)
}

// commandUpTo is a command whose last word, of so many bytes, is still to be
// appended with a line end.
func commandUpTo(length int, words ...string) []byte {
	return bulkHeader(appendWords(header(nil, len(words)+1), words...), length)
}

// header begins a command of so many words.
func header(b []byte, words int) []byte {
	return append(strconv.AppendInt(append(b, '*'), int64(words), 10), '\r', '\n')
}

func bulkHeader(b []byte, length int) []byte {
	return append(strconv.AppendInt(append(b, '$'), int64(length), 10), '\r', '\n')
}

func appendWords(b []byte, words ...string) []byte {
	for _, w := range words {
		b = append(append(bulkHeader(b, len(w)), w...), '\r', '\n')
	}
	return b
}
