// Validates structured answers with ajv in strict mode, as TypeScript hosts do. Reads {schemas: {tool: schema}, answers:
// [[tool, structure]]} from the standard input; prints what is wrong as a JSON list. MODULES is the folder of packages.

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const load = createRequire(`${process.env.MODULES}/`);
const Ajv = load("ajv/dist/2020").default;
const addFormats = load("ajv-formats").default;

const { schemas, answers } = JSON.parse(readFileSync(0, "utf8"));
const ajv = new Ajv({ strict: true, allErrors: true });
addFormats(ajv);
const validators = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, ajv.compile(schema)]));
const wrong = answers.filter(([name, structure]) => !validators[name](structure));
console.log(JSON.stringify(wrong.map(([name, structure]) => (validators[name](structure), [name, ajv.errorsText(validators[name].errors)]))));
