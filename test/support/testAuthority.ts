/**
 * A certificate authority for one test, and certificates of it; made by openssl.
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { promisify } from "node:util"
import { temporaryDirectory } from "./temporaryDirectory.ts"

const run = promisify(execFile)

const newKey = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

/** Files in PEM form. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

/** `server` is for this machine's names, `client` for nobody in particular, `stranger` signed by somebody else. */
export const testAuthority = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const file = (name: string) => path.join(directory, name)

  const authority = async (name: string): Promise<CertificateFiles> => {
    const files = { certificate: file(`${name}.crt`), key: file(`${name}.key`) }
    const subject = ["-subj", `/CN=${name}`, "-days", "2"]
    await run("openssl", [...newKey, "-x509", ...subject, "-keyout", files.key, "-out", files.certificate])
    return files
  }

  const certificate = async (issuer: CertificateFiles, name: string, extension: string): Promise<CertificateFiles> => {
    const files = { certificate: file(`${name}.pem`), key: file(`${name}-key.pem`) }
    const request = file(`${name}.csr`)
    await run("openssl", [...newKey, "-subj", `/CN=${name}`, "-keyout", files.key, "-out", request])
    await fs.writeFile(file(`${name}.ext`), extension)
    const signing = ["-CA", issuer.certificate, "-CAkey", issuer.key, "-CAcreateserial", "-days", "2"]
    const output = ["-extfile", file(`${name}.ext`), "-out", files.certificate]
    await run("openssl", ["x509", "-req", "-in", request, ...signing, ...output])
    return files
  }

  return yield* Effect.promise(async () => {
    const own = await authority("test-authority")
    const other = await authority("other-authority")
    const names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n"
    return {
      directory,
      authority: own.certificate,
      server: await certificate(own, "server", names),
      client: await certificate(own, "client", "extendedKeyUsage=clientAuth\n"),
      stranger: await certificate(other, "stranger", "extendedKeyUsage=clientAuth\n")
    }
  })
})
