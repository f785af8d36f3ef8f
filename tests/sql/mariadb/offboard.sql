-- there
SELECT `hosts`.`id` AS `id`, `hosts`.`user_id` AS `user_id`, `hosts`.`created_at` AS `created_at`, `hosts`.`updated_at` AS `updated_at`, 0 /*M!100005 + 1 */ AS `guesthouse_returns` FROM `hosts` WHERE `hosts`.`user_id` = ?;
DELETE FROM `hosts` WHERE `user_id` = ? /*M!100500 RETURNING `id`, `user_id`, `created_at`, `updated_at` */;

-- not there
SELECT `hosts`.`id` AS `id`, `hosts`.`user_id` AS `user_id`, `hosts`.`created_at` AS `created_at`, `hosts`.`updated_at` AS `updated_at`, 0 /*M!100005 + 1 */ AS `guesthouse_returns` FROM `hosts` WHERE `hosts`.`user_id` = ?;
