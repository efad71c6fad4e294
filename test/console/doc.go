// Package console opens the pages of the web console in a browser.
package console
