import Foundation
import Logging
import LuaScripting
import RuleEngine
import RuleLanguage

/// The rules as they are written: files and stored groups, checked together, taken whole or not at all.
struct RuleSet: Sendable {
    var plan: EvaluationPlan
    var routes: RouteTree
    var notifications: NotificationConfiguration
    var files: [RuleLoader.Source]
    var storeGroups: [RuleLoader.Source]
    var surroundings: Surroundings
    var warnings: [Diagnostic]
}

/// Reads and checks rules and notifications, for `serve`, `check` and the API.
struct RuleReader: Sendable {
    let rulesPath: String
    let notificationsPath: String
    let surroundings: Surroundings
    let plugins: InstalledPlugins

    struct Rejection: Error {
        var diagnostics: [Diagnostic]
        var sources: [RuleLoader.Source]
        var text: String { diagnostics.map(DiagnosticRenderer(sources: sources).render).joined() }
    }

    /// What lies in the folder now. `known` are the files that ran last: when there were some, a folder that is not there is a mistake (a
    /// volume that is not mounted, a wrong path), and no reason to take all rules away.
    func files(known: [RuleLoader.Source]) throws(Rejection) -> [RuleLoader.Source] {
        let folder = RuleFolder(rulesPath)
        var (sources, diagnostics) = folder.read()
        if sources.isEmpty, !known.isEmpty, !folder.exists {
            let place = SourceLocation(file: rulesPath, line: 1, column: 1)
            diagnostics.append(
                Diagnostic(
                    code: "unreadable-file", "the folder of the rules is not there", at: place,
                    hint: "a server without rules has an empty one"))
        }
        guard !diagnostics.hasErrors else { throw Rejection(diagnostics: diagnostics, sources: sources) }
        return sources
    }

    func notificationFile() throws(Rejection) -> RuleLoader.Source? {
        guard FileManager.default.fileExists(atPath: notificationsPath) else { return nil }
        let (source, diagnostics) = RuleFolder.readFile(notificationsPath)
        guard let source, !diagnostics.hasErrors else { throw Rejection(diagnostics: diagnostics, sources: []) }
        return source
    }

    func read(files: [RuleLoader.Source], storeGroups: [RuleLoader.Source], notifications file: RuleLoader.Source?) throws(Rejection)
        -> RuleSet
    {
        let (plan, readable, ruleDiagnostics) = Self.plan(
            files: files, storeGroups: storeGroups, surroundings: surroundings, plugins: plugins)
        var diagnostics = ruleDiagnostics
        if readable.callsScripts {
            // A warning, since automations come and go without the rules.
            var settings = AutomationSettings()
            settings.surroundings = surroundings
            let offers = AutomationRuntime.examine(AutomationFiles.read(rulesPath: rulesPath), settings: settings).offers
            diagnostics += readable.unknownScripts(among: offers, severity: .warning)
        }
        var configuration: NotificationConfiguration? = .logOnly
        if let file {
            let (read, found) = plugins.notificationReader.read(file)
            configuration = read
            diagnostics += found
        }
        let sources =
            files + storeGroups.map { RuleLoader.Source(name: RuleLoader.sourceName(ofGroup: $0.name), bytes: $0.bytes) }
            + [file].compactMap { $0.map(NotificationFileReader.redacted) }
        guard let plan, let configuration else { throw Rejection(diagnostics: diagnostics.inOrder, sources: sources) }
        do {
            let routes = try RouteTree(configuration, compile: CELRegex.compiler)
            return RuleSet(
                plan: plan, routes: routes, notifications: configuration, files: files, storeGroups: storeGroups,
                surroundings: surroundings, warnings: diagnostics.inOrder)
        } catch {
            let place = SourceLocation(file: notificationsPath, line: 1, column: 1)
            throw Rejection(diagnostics: [Diagnostic(code: "route", error.description, at: place)], sources: sources)
        }
    }

    /// Gives the plan, when nothing is wrong, and the rules that can be read.
    static func plan(
        files: [RuleLoader.Source], storeGroups: [RuleLoader.Source], surroundings: Surroundings, plugins: InstalledPlugins
    ) -> (plan: EvaluationPlan?, readable: RuleCatalog, diagnostics: [Diagnostic]) {
        let loader = RuleLoader(environment: plugins.environment, plugins: plugins.set.catalog)
        let (catalog, diagnostics) = loader.load(files: files, storeGroups: storeGroups)
        func compile(_ catalog: RuleCatalog) -> (plan: EvaluationPlan?, diagnostics: [Diagnostic]) {
            EvaluationPlan.compile(
                catalog, environment: plugins.environment, surroundings: surroundings, decoders: plugins.set.decoders)
        }
        guard let catalog else {
            // There is no catalogue; the rules that can be read are compiled all the same, so that every mistake is told in one run.
            let readable = loader.loadReadable(files: files, storeGroups: storeGroups).catalog
            return (nil, readable, diagnostics + compile(readable).diagnostics)
        }
        let (plan, found) = compile(catalog)
        return (plan, catalog, (diagnostics + found).inOrder)
    }
}

/// Puts rules in place while the server runs: one change at a time, all or nothing.
actor RuleReloader {
    private let reader: RuleReader
    private let apply: @Sendable (RuleSet) async -> Void
    private let store: any StateStore
    private let acceptedPath: String
    private let logger: Logger
    private(set) var current: RuleSet
    /// Why the files as they are now were refused; nil when they run.
    private(set) var rejection: String?
    private(set) var lastSuccessAt: Instant
    private let now: @Sendable () -> Instant

    init(
        reader: RuleReader, current: RuleSet, rejection: String?, store: any StateStore, acceptedPath: String,
        now: @escaping @Sendable () -> Instant,
        logger: Logger, apply: @escaping @Sendable (RuleSet) async -> Void
    ) {
        self.reader = reader
        self.current = current
        self.rejection = rejection
        self.store = store
        self.acceptedPath = acceptedPath
        self.now = now
        self.logger = logger
        self.apply = apply
        lastSuccessAt = now()
    }

    // MARK: One change at a time

    private var isChanging = false
    private var turns: [CheckedContinuation<Void, Never>] = []

    /// Waits for the change that is under way: the actor alone would let a second one in while the first waits for the store, and its rules would
    /// be without those of the first.
    private func beginChange() async {
        if isChanging { await withCheckedContinuation { turns.append($0) } }
        isChanging = true
    }

    private func endChange() {
        isChanging = !turns.isEmpty
        if !turns.isEmpty { turns.removeFirst().resume() }
    }

    /// Names of the groups that changed, or the diagnostics.
    func reload(cause: String) async -> Result<[String], RuleReader.Rejection> {
        await beginChange()
        defer { endChange() }
        do {
            let next = try reader.read(
                files: reader.files(known: current.files), storeGroups: current.storeGroups, notifications: reader.notificationFile())
            let changed = await put(next)
            logger.notice(
                "rules reloaded (\(cause)): \(changed.isEmpty ? "nothing changed" : "changed: " + changed.joined(separator: ", "))")
            return .success(changed)
        } catch {
            let first = error.diagnostics.first { $0.severity == .error }
            let text = first.map { "\($0.location.file):\($0.location.line): \($0.message)" } ?? "unknown"
            if rejection != text {
                logger.error(
                    "rules not reloaded (\(cause)), the running ones go on: \(error.diagnostics.tally)\n\(error.text)"
                )
            }
            rejection = text
            return .failure(error)
        }
    }

    private func put(_ next: RuleSet) async -> [String] {
        let before = Dictionary(current.plan.catalog.groups.map { ($0.name, $0.yaml) }, uniquingKeysWith: { $1 })
        let after = Dictionary(next.plan.catalog.groups.map { ($0.name, $0.yaml) }, uniquingKeysWith: { $1 })
        let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted()
        if !changed.isEmpty || next.notifications != current.notifications { await apply(next) }
        current = next
        rejection = nil
        lastSuccessAt = now()
        AcceptedRules.save(next.files, to: acceptedPath)
        return changed
    }

    // MARK: Groups of the API

    enum GroupChange: Sendable {
        case created, replaced, checked
    }

    func putGroup(_ name: String, yaml: [UInt8], isDryRun: Bool) async throws(StoreFailure) -> Result<
        (GroupChange, [Diagnostic]), RuleReader.Rejection
    > {
        await beginChange()
        defer { endChange() }
        var groups = current.storeGroups.filter { $0.name != name }
        let isNew = groups.count == current.storeGroups.count
        groups.append(RuleLoader.Source(name: name, bytes: yaml))
        let next: RuleSet
        do {
            next = try reader.read(files: current.files, storeGroups: groups, notifications: reader.notificationFile())
        } catch {
            return .failure(error)
        }
        let warnings = next.warnings.filter { $0.location.file == RuleLoader.sourceName(ofGroup: name) }
        if isDryRun { return .success((.checked, warnings)) }
        try await store.commit([StateWrite(.ruleGroups, id: name, ["yaml": .string(String(decoding: yaml, as: UTF8.self))])])
        _ = await put(next)
        return .success((isNew ? .created : .replaced, warnings))
    }

    func removeGroup(_ name: String) async throws(StoreFailure) -> Result<Bool, RuleReader.Rejection> {
        await beginChange()
        defer { endChange() }
        let groups = current.storeGroups.filter { $0.name != name }
        guard groups.count < current.storeGroups.count else { return .success(false) }
        let next: RuleSet
        do {
            next = try reader.read(files: current.files, storeGroups: groups, notifications: reader.notificationFile())
        } catch {
            return .failure(error)
        }
        try await store.commit([StateWrite(.ruleGroups, id: name, nil)])
        _ = await put(next)
        return .success(true)
    }
}

/// The rule files that ran last, kept so that broken ones at a start do not leave the server without rules.
enum AcceptedRules {
    static func save(_ files: [RuleLoader.Source], to path: String) {
        let document = Document.array(files.map { ["name": .string($0.name), "text": .string(String(decoding: $0.bytes, as: UTF8.self))] })
        try? Data(document.json.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    static func load(from path: String) -> [RuleLoader.Source]? {
        guard let data = FileManager.default.contents(atPath: path), let document = try? Document(json: data), let files = document.array
        else { return nil }
        return files.compactMap { file in
            guard let name = file["name"]?.string, let text = file["text"]?.string else { return nil }
            return RuleLoader.Source(name: name, bytes: Array(text.utf8))
        }
    }
}
