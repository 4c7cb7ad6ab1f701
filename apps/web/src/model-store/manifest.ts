/** What a folder of model files consists of; `version` changes with any byte of them. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}
