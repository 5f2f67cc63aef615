// Reprise runs the experiments of a storage-systems paper and says, claim by
// claim, whether its published figures were reproduced.
package main

import "reprise/cmd"

func main() { cmd.Main() }
