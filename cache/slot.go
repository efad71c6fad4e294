package cache

// slots is how many slots a Cluster has.
const slots = 16384

// slot returns the Cluster's slot of the account's keys: the CRC-16 (XMODEM) of what is
// between the braces.
func (k keys) slot() int {
	var crc uint16
	for _, b := range []byte(k.account) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % slots)
}

// slotOf returns the account's slot in a Cluster, [anySlot] elsewhere.
func (c *Client) slotOf(wcID string) int {
	if c.cluster == nil {
		return anySlot
	}
	return c.keys(wcID).slot()
}
