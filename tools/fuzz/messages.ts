/** What the fuzzer and its child say to each other. */

export interface Ask {
  readonly target: string;
  /** Base64. */
  readonly bytes: string;
}

export interface Told {
  /** `refused`, in one clear line, and `read` are well; `ready` is the first word. */
  readonly ends: 'ready' | 'read' | 'refused' | 'untyped' | 'unsafe' | 'crash' | 'hang';
  readonly detail: string;
}
