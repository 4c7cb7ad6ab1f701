/** Every name that a package's root exports says what it is: lists those that do not, and fails where there are any. */
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import ts from 'typescript';

const folder = import.meta.dirname;
const root = resolve(folder, '../..');
const { entryPoints } = JSON.parse(readFileSync(join(folder, 'typedoc.json'), 'utf8'));
const files = entryPoints.map((entry: string) => resolve(folder, entry));
const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config,
  ts.sys,
  root,
);
const program = ts.createProgram(files, options);
const checker = program.getTypeChecker();

const missing = new Set<string>();
for (const file of files) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
  for (const name of checker.getExportsOfModule(module)) {
    const symbol = name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
    const [declaration] = symbol.declarations ?? [];
    const isTold = symbol.getDocumentationComment(checker).length + symbol.getJsDocTags(checker).length > 0;
    if (!declaration || isTold) continue;
    const source = declaration.getSourceFile();
    const { line } = source.getLineAndCharacterOfPosition(declaration.getStart());
    missing.add(`${relative(root, source.fileName)}:${line + 1} ${symbol.name}`);
  }
}
for (const place of [...missing].sort()) console.log(`${place} has no docstring`);
console.log(`${missing.size} exported names without a docstring`);
process.exitCode = missing.size > 0 ? 1 : 0;
