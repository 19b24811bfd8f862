import ArgumentParser
import CEL
import Foundation
import RuleEngine
import RuleLanguage

struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "eval", abstract: "Evaluate a CEL expression.")

    @Argument(help: "The expression.") var expression: String?
    @Option(name: .customLong("var"), help: "NAME=JSON; may be given several times, and goes before --vars.") var variables: [String] = []
    @Option(name: .customLong("vars"), help: "A JSON or YAML file with variables.") var file: String?
    @Flag(help: "Show the value of every part.") var explain = false
    @Flag(help: "Strict CEL, without the promoted arithmetic of rules.") var strict = false
    @Flag(help: "Answer JSON lines of a conformance set from standard input.") var batch = false
    @Flag(help: "As JSON.") var json = false
    @Option(help: "The configuration file, for functions of plugins.") var config: String?

    func run() throws {
        if batch {
            let evaluator = BatchEvaluator(arithmetic: strict ? .strict : .promoting)
            while let line = readLine() { if !line.isEmpty { Output.result(evaluator.answer(line)) } }
            return
        }
        guard let expression else {
            Output.talk("error: an expression is missing, as in: nodesphere eval 'temperature > 30.0' --var temperature=31.5")
            throw Ending(2)
        }
        var values = try readVariables()
        if !values.contains(where: { $0.0 == "now" }) { values.append(("now", Timestamp("\(Instant.wallClock)").map(Value.timestamp))) }
        let environment = strict ? Environment(arithmetic: .strict) : try InstalledPlugins.forCommand(config).environment
        let strings = InternedStrings()
        var names = EvalNames(given: DocumentNames(names: values.map(\.0)))
        let parsed = environment.parse(expression)
        guard let tree = parsed.expression, parsed.diagnostics.isEmpty else { throw complain(parsed.diagnostics, expression) }
        let compiled = environment.compile(tree, names: &names, strings: strings)
        let complaint = complain(compiled.diagnostics, expression)
        guard let program = compiled.program else { throw complaint }
        let (outcome, explanation) = withSlots(values.map { $0.1 }, strings) { slots in
            (program.evaluate(slots), explain ? program.explain(slots).render() : nil)
        }
        if let explanation { Output.talk(explanation) }
        switch outcome {
        case .value(let value):
            guard let text = value.json(maximumLength: 16 << 20) else {
                Output.talk("error: the value would take more than 16 MiB to write")
                throw Ending(1)
            }
            Output.result(text)
        case .missing(let name):
            Output.talk("error: '\(name)' is not there")
            throw Ending(1)
        case .error(let error):
            throw complain([CELDiagnostic(span: error.span, code: error.code.rawValue, message: error.message)], expression)
        }
    }

    /// Shows what is wrong, each at its place.
    private func complain(_ diagnostics: [CELDiagnostic], _ expression: String) -> Ending {
        let source = SourceText(expression)
        // "\r\n" is one Character, and no end of a line to `split(separator:)`.
        let lines = expression.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
            String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
        }
        let renderer = DiagnosticRenderer { _ in lines }
        for diagnostic in diagnostics { Output.talk(renderer.render(source.diagnostic(diagnostic))) }
        return Ending(1)
    }

    private func readVariables() throws -> [(String, Value?)] {
        var values: [(String, Value?)] = []
        if let file {
            guard let data = FileManager.default.contents(atPath: file) else {
                Output.talk("error: '\(file)' cannot be read")
                throw Ending(2)
            }
            let (document, diagnostics) = ValuesFile.read(name: file, bytes: Array(data))
            guard let members = ((try? Document(json: data)) ?? document)?.members else {
                let renderer = DiagnosticRenderer(sources: [RuleLoader.Source(name: file, bytes: Array(data))])
                Output.talk(diagnostics.isEmpty ? "error: '\(file)' must hold names and values" : diagnostics.map(renderer.render).joined())
                throw Ending(1)
            }
            values += members.map { ($0.name, $0.value.celValue) }
        }
        for variable in variables {
            guard let mark = variable.firstIndex(of: "=") else {
                Output.talk("error: --var takes NAME=JSON, not '\(variable)'")
                throw Ending(2)
            }
            values.append((String(variable[..<mark]), Self.value(String(variable[variable.index(after: mark)...]))))
        }
        return values
    }

    /// What was given by name; functions that need an instance are refused with what to do instead.
    private struct EvalNames: NameResolver {
        var given: DocumentNames

        /// The longest name that was given and begins the path; of those given twice the last.
        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            var name = ""
            var found: NameResolution?
            for (index, element) in path.enumerated() {
                guard case .name(let part) = element else { break }
                name += (index > 0 ? "." : "") + part
                if let slot = given.names.lastIndex(of: name) { found = .slot(slot, consumed: index + 1) }
            }
            return found ?? given.resolve(path, span: span)
        }

        mutating func call(_ call: HostCall) -> CallResolution {
            guard call.receiver == nil, RuleFunctions.needsInstance(call.name) else { return given.call(call) }
            return .invalid([
                CELDiagnostic(
                    span: call.span, code: "needs-instance",
                    message: "'\(call.name)' looks at an instance of a rule, and 'eval' has none",
                    hint: "a rule test shows the value of every part of an expression that is not as expected: nodesphere test")
            ])
        }
    }

    /// The arguments with an expression that begins with '-' put where no option is looked for: `-x > 3` is none.
    static func arranged(_ arguments: [String]) -> [String] {
        func isExpression(_ place: Int) -> Bool {
            let text = arguments[place]
            return text.hasPrefix("-") && !text.hasPrefix("--") && text != "-h"
                && !["--var", "--vars", "--config"].contains(arguments[place - 1])
        }
        guard arguments.first == "eval", !arguments.contains("--"), let place = arguments.indices.dropFirst().first(where: isExpression)
        else {
            return arguments
        }
        var rest = arguments
        let expression = rest.remove(at: place)
        return rest + ["--", expression]
    }

    /// JSON, else the text itself.
    private static func value(_ text: String) -> Value { (try? Document(json: text))?.celValue ?? .string(text) }
}
