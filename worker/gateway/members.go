package gateway

import (
	"bytes"
	"encoding/json"
)

// object is valid JSON of an object, as json.Valid finds it.
type object []byte

// asObject returns raw as an object, ok where it is one; what is within a valid value is
// valid. White space around it is left out.
func asObject(raw []byte) (o object, ok bool) {
	raw = bytes.Trim(raw, " \t\r\n")
	return raw, len(raw) > 0 && raw[0] == '{'
}

// each calls member with every key, without its quotes, and value, in their order: once
// through the bytes, where encoding/json goes through those of each level three times.
func (o object) each(member func(key, value []byte)) {
	rest := o[1:]
	for {
		start := bytes.IndexAny(rest, `"}`)
		if rest[start] == '}' {
			return
		}
		rest = rest[start:]
		end := valueEnd(rest)
		key := rest[1 : end-1]
		rest = rest[end:]
		rest = bytes.TrimLeft(rest[bytes.IndexByte(rest, ':')+1:], " \t\r\n")
		end = valueEnd(rest)
		member(plainKey(key), rest[:end])
		rest = rest[end:]
	}
}

// plainKey undoes the escapes of a key.
func plainKey(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	var plain string
	_ = json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &plain) // it is valid
	return []byte(plain)
}

// valueEnd returns where the valid value ends that raw starts with.
func valueEnd(raw []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch raw[i] {
		case '"':
			i += stringEnd(raw[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		default:
			if depth == 0 { // a number, true, false or null
				if end := bytes.IndexAny(raw, ",}] \t\r\n"); end >= 0 {
					return end
				}
				return len(raw)
			}
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
}

// stringEnd returns where the valid string ends that raw starts with.
func stringEnd(raw []byte) int {
	for i := 1; ; i++ {
		next := bytes.IndexByte(raw[i:], '"')
		i += next
		backslashes := 0
		for raw[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i + 1
		}
	}
}
