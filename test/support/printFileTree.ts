/**
 * Prints the tree below a directory as JSON: a program of its own, because a process that serves a mount must not wait for it.
 */
import { fileTree } from "./fileTree.ts"

process.stdout.write(JSON.stringify(fileTree(process.argv[2] ?? ".")))
