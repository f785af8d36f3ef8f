-- new
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;

-- existing
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;
SELECT `role`.`id` AS `id`, `role`.`user_id` AS `user_id`, `role`.`created_at` AS `created_at`, `role`.`updated_at` AS `updated_at`, (CASE WHEN (`role`.`user_id` IS NOT NULL) THEN 1 ELSE 0 END) AS `guesthouse_is_there` FROM `users` LEFT JOIN `hosts` AS `role` ON `role`.`user_id` = `users`.`id` WHERE `users`.`id` = ?;

-- no such user
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;
SELECT `role`.`id` AS `id`, `role`.`user_id` AS `user_id`, `role`.`created_at` AS `created_at`, `role`.`updated_at` AS `updated_at`, (CASE WHEN (`role`.`user_id` IS NOT NULL) THEN 1 ELSE 0 END) AS `guesthouse_is_there` FROM `users` LEFT JOIN `hosts` AS `role` ON `role`.`user_id` = `users`.`id` WHERE `users`.`id` = ?;

-- a role of the app's own
INSERT INTO `couriers` (`id`, `user_id`, `vehicle`, `created_at`, `updated_at`) SELECT ?, ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `vehicle`, `badge`, `grade`, `created_at`, `updated_at`;
