public import CEL
public import RuleEngine

/// A file of tests with everything that it names, ready to run.
public struct RuleTestSuite: Sendable {
    public var file: RuleTestFile
    public var plan: EvaluationPlan
    public var routes: RouteTree
    /// Scripts as they lie there.
    public var automations: [RuleLoader.Source]

    public struct Obstacle: Error, Sendable {
        public var diagnostics: [Diagnostic]
        public var sources: [RuleLoader.Source]
        /// A file that is named and cannot be read.
        var unread: String?
        /// Names of the files that it is about.
        public var files: [String] { sources.map(\.name) + (unread.map { [$0] } ?? []) }
        public var text: String { diagnostics.inOrder.map(DiagnosticRenderer(sources: sources).render).joined() }
    }

    /// Blocks on file I/O.
    ///
    /// - Parameter path: of the test file; the files it names are relative to its folder.
    /// - Parameter plugins: whose decoders, functions and channels the rules and their notifications use.
    public static func load(
        _ path: String, environment base: Environment, compile: @escaping RegexCompiler, plugins: PluginSet = .empty
    ) throws(Obstacle) -> (suite: RuleTestSuite, sources: [RuleLoader.Source]) {
        let environment = plugins.environment(base)
        var (source, diagnostics) = RuleFolder.readFile(path)
        guard let source else { throw Obstacle(diagnostics: diagnostics, sources: []) }
        var sources = [source]
        let read = RuleTestFileReader(environment: environment, compile: compile, plugins: plugins.catalog).read(source)
        diagnostics += read.diagnostics
        guard let file = read.file else { throw Obstacle(diagnostics: diagnostics, sources: sources) }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var rules: [RuleLoader.Source] = []
        for reference in file.rules { rules += try Self.rules(reference, folder, sources) }
        sources += rules
        var automations: [RuleLoader.Source] = []
        for reference in file.automations { automations += try Self.rules(reference, folder, sources) }
        let loader = RuleLoader(environment: environment, plugins: plugins.catalog)
        let loaded = loader.load(files: rules)
        diagnostics += loaded.diagnostics
        let compiled = EvaluationPlan.compile(
            loaded.catalog ?? loader.loadReadable(files: rules).catalog, environment: environment,
            surroundings: file.surroundings, decoders: plugins.decoders)
        diagnostics += compiled.diagnostics
        let reader = NotificationFileReader(environment: environment, compile: compile, plugins: plugins.catalog)
        let configuration = try notifications(file, folder, reader, &sources, &diagnostics)
        guard let catalog = loaded.catalog, let plan = compiled.plan, let configuration, !diagnostics.hasErrors else {
            throw Obstacle(diagnostics: diagnostics, sources: sources)
        }
        diagnostics += file.diagnostics(catalog: catalog, receivers: configuration.receivers.map(\.name))
        guard !diagnostics.hasErrors else { throw Obstacle(diagnostics: diagnostics, sources: sources) }
        do {
            return (
                RuleTestSuite(
                    file: file, plan: plan, routes: try RouteTree(configuration, compile: compile), automations: automations),
                sources + automations
            )
        } catch {
            let place = SourceLocation(file: path, line: 1, column: 1)
            throw Obstacle(diagnostics: [Diagnostic(code: "route", error.description, at: place)], sources: sources)
        }
    }

    private static func rules(_ reference: RuleTestFile.Reference, _ folder: String, _ sources: [RuleLoader.Source]) throws(Obstacle)
        -> [RuleLoader.Source]
    {
        let path = reference.path.hasPrefix("/") ? reference.path : folder + reference.path
        if reference.path.hasSuffix("/") { return RuleFolder(path).read().sources }
        let (source, diagnostics) = RuleFolder.readFile(path)
        if let source { return [source] }
        let found = diagnostics.map { Diagnostic(code: $0.code, "\($0.message): '\(path)'", at: reference.location) }
        throw Obstacle(diagnostics: found, sources: sources, unread: path)
    }

    private static func notifications(
        _ file: RuleTestFile, _ folder: String, _ reader: NotificationFileReader, _ sources: inout [RuleLoader.Source],
        _ diagnostics: inout [Diagnostic]
    ) throws(Obstacle) -> NotificationConfiguration? {
        switch file.notifications {
        case .toDefault: return .toDefaultReceiver
        case .inline(let configuration): return configuration
        case .file(let reference):
            let found = try rules(reference, folder, sources)
            guard let source = found.first else { return nil }
            sources.append(NotificationFileReader.redacted(source))
            let read = reader.read(source)
            diagnostics += read.diagnostics
            return read.configuration
        }
    }
}

extension NotificationConfiguration {
    /// Every alert for itself, at once, and never again.
    static let toDefaultReceiver = NotificationConfiguration(
        route: Route(
            receiver: "default", groupBy: .all, groupWait: .zero, groupInterval: .milliseconds(1),
            repeatInterval: .seconds(100 * 365 * 86_400)),
        receivers: [Receiver(name: "default", channels: [.log(LogConfiguration())])])
}
