import Foundation
import Logging
import RuleEngine
import RuleLanguage

/// The tests of one plugin: a `*.test.yaml` in its folder, and the examples of its functions.
struct PluginTestSuite {
    let manifest: PluginManifest
    let runner: PluginTestRunner

    struct Obstacle: Error {
        var text: String
    }

    /// Whether a test file belongs to a plugin.
    static func isOfPlugin(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder(of: path))/\(PluginFolder.manifestName)")
    }

    /// The files that the plugin of a test file is made of.
    static func files(of path: String) -> [String] {
        let folder = folder(of: path)
        let inside = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return inside.filter { name in [".lua", ".yaml", ".so"].contains { name.hasSuffix($0) } }.map { "\(folder)/\($0)" }
    }

    static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }

    /// - Parameter isNativeAllowed: whether the plugin of this name may be loaded as machine code.
    init(folder: String, isNativeAllowed: (String) -> Bool) throws(Obstacle) {
        let base = RuleLanguageEnvironment.standard
        let (catalog, contents) = PluginFolder(folder).catalog(environment: base)
        guard let manifest = catalog.manifests.first, !contents.diagnostics.hasErrors else {
            throw Obstacle(text: contents.diagnostics.map(DiagnosticRenderer(sources: contents.sources).render).joined())
        }
        self.manifest = manifest
        // A test grants what the manifest asks for, so that what it does not ask for is still refused.
        var granted = manifest.permissions
        granted.isNative = granted.isNative && isNativeAllowed(manifest.name)
        let logger = Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() }
        runner = PluginTestRunner(catalog: catalog, environment: base) { [granted] settings, http, publisher throws(PluginFailure) in
            try PluginLoading.load(
                manifest, settings: settings, granted: granted, http: http, publisher: publisher,
                rendering: CELNotificationRendering(environment: base, failures: FailedTexts()), logger: logger)
        }
    }

    func tests(in path: String) throws(Obstacle) -> [PluginTest] {
        let (source, diagnostics) = RuleFolder.readFile(path)
        guard let source else { throw Obstacle(text: diagnostics.map(DiagnosticRenderer(sources: []).render).joined()) }
        let (tests, found) = PluginTestFileReader(manifest: manifest, environment: RuleLanguageEnvironment.standard).read(source)
        guard !found.hasErrors else { throw Obstacle(text: found.map(DiagnosticRenderer(sources: [source]).render).joined()) }
        return tests
    }

    var examples: [PluginTest] {
        manifest.provisions(.function).compactMap { PluginTest(exampleOf: $0, settings: .defaults(of: manifest.settings)) }
    }
}
