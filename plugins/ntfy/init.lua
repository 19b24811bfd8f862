-- https://docs.ntfy.sh/publish/#publish-as-json

-- A message longer than 4,096 bytes becomes an attachment; a character may have four.
local max_characters, max_alerts = 1000, 20

local function priority(notification)
  if notification.status ~= "firing" then return 3 end
  return text.severity(notification) == "critical" and 5 or 4
end

local function authorization(config)
  if config.token then return "Bearer " .. config.token end
  if config.username then return "Basic " .. base64.encode(config.username .. ":" .. (config.password or "")) end
end

local function click(notification, config)
  return config.click or (notification.commonAnnotations or {}).runbook_url
end

plugin {
  channels = {
    ntfy = function(notification, config)
      return channel.outcome(http.post(string.gsub(config.url, "/+$", "") .. "/", {
        headers = { ["Content-Type"] = "application/json", ["Authorization"] = authorization(config) },
        body = json.encode({
          topic = config.topic,
          title = text.truncate(config.title or text.title(notification), 250),
          message = text.truncate(config.message or text.lines(notification, max_alerts), max_characters),
          priority = config.priority or priority(notification),
          tags = { notification.status == "firing" and "rotating_light" or "white_check_mark" },
          click = click(notification, config),
        }),
      }))
    end,
  },
}
