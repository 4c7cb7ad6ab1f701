export { type EncodeOptions, type Encoding, T5Tokenizer } from './t5-tokenizer.ts';
